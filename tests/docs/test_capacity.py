"""docs/capacity.md: its tables are what the simulator makes of what was measured."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.bench.capacity.__main__ import PAGE, PERFORMANCE, written
from tests.bench.capacity.costs import costs_of_page
from tests.bench.capacity.habits import Habits, Machine
from tests.bench.capacity.plan import plan, walls
from tests.bench.capacity.simulation import PARTITIONS, groups, partition_shares, run

COSTS = costs_of_page(PERFORMANCE.read_text())
STORED = 500


def test_the_tables_are_what_the_simulator_makes() -> None:
    assert written(PAGE.read_text(), PERFORMANCE.read_text()) == PAGE.read_text()


def test_a_part_that_cannot_keep_up_makes_messages_wait_ever_longer() -> None:
    half = run(1000, [1.0], cost_ms=0.5, cores=1, seed=1)
    over = run(1000, [1.0], cost_ms=1.1, cores=1, seed=1)

    assert half.busy == pytest.approx(0.5)
    assert half.wait_ms < 20
    # 6,000 ticks, each of which leaves a tenth of its work undone.
    assert over.wait_ms > 5_000


def test_servers_split_all_partitions_and_lose_none() -> None:
    shares = partition_shares(1000, Habits().evenness, random.Random(1))

    assert len(shares) == PARTITIONS
    for servers in range(1, PARTITIONS + 1):
        assert sum(groups(shares, servers)) == pytest.approx(1)


def test_more_users_need_no_less_of_anything() -> None:
    plans = [plan(10**n, COSTS, STORED, Habits(), Machine()) for n in range(3, 9)]

    for few, many in pairwise(plans):
        assert few.apis <= many.apis
        assert (few.masters or 17) <= (many.masters or 17)
        assert few.postgreses <= many.postgreses


def test_one_partition_is_never_more_than_one_server_can_do() -> None:
    """Sixteen masters are the most there can be."""
    slow = replace(COSTS, cpu_ms={**COSTS.cpu_ms, "redis": 100.0})

    assert plan(100_000_000, slow, STORED, Habits(), Machine()).masters is None


def test_a_wall_is_where_the_simulated_site_no_longer_fits() -> None:
    nearest = dict(walls(COSTS, STORED, Habits(), Machine()))["one PostgreSQL: its disk"]

    fits = plan(int(nearest * 0.99), COSTS, STORED, Habits(), Machine())
    does_not = plan(int(nearest * 1.01), COSTS, STORED, Habits(), Machine())

    assert (fits.postgreses, does_not.postgreses) == (1, 2)


def test_a_page_without_figures_is_refused() -> None:
    with pytest.raises(ValueError, match="does not show the costs"):
        costs_of_page("nothing was measured")
