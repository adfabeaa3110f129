"""How many of each part a site needs, found by running its busiest minute."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.capacity.costs import Costs
from tests.bench.capacity.habits import Habits, Machine
from tests.bench.capacity.simulation import PARTITIONS, Seen, groups, partition_shares, run

_SECONDS_A_YEAR_DAYS: Final = 365
_SEED: Final = 17


@dataclass(frozen=True, slots=True)
class Plan:
    """What a site needs. None: no number of these is enough."""

    users: int
    rate: float  #: messages a second in the busiest minute
    apis: int
    masters: int | None
    workers: int | None
    postgres_cores: int
    wal_mb_a_second: float
    stored_tb: float
    postgreses: int


def plan(users: int, costs: Costs, stored_bytes: float, habits: Habits, machine: Machine) -> Plan:
    """Find the smallest number of each part that is neither too busy nor waited for too long."""
    rate = habits.messages_a_second(users)
    active = round(users * habits.active_share)
    shares = partition_shares(active, habits.evenness, random.Random(_SEED))

    def fits(seen: Seen) -> bool:
        return seen.busy <= machine.busy and seen.wait_ms <= machine.wait_ms

    def pooled(part: str) -> int:
        """Any process of the part takes any message."""
        cost_ms = costs.cpu_ms[part]
        least = math.ceil(rate * cost_ms / 1000 / machine.busy)
        return _first(lambda n: fits(run(rate, [1.0], cost_ms, n, _SEED)), max(1, least))

    def by_partition(part: str) -> int | None:
        """Each partition is one server's, which has one core."""
        cost_ms = costs.cpu_ms[part]
        for servers in range(1, PARTITIONS + 1):
            if fits(run(rate, groups(shares, servers), cost_ms, 1, _SEED)):
                return servers
        return None

    cores = pooled("postgres")
    wal = rate * costs.wal_bytes / 1e6
    days = habits.kept_years * _SECONDS_A_YEAR_DAYS
    stored = habits.messages_a_day(users) * days * stored_bytes / 1e12
    needed = (
        cores / machine.cores,
        wal / machine.wal_mb_a_second / machine.busy,
        stored / machine.disk_tb,
    )
    return Plan(
        users=users,
        rate=rate,
        apis=pooled("api"),
        masters=by_partition("redis"),
        workers=by_partition("worker"),
        postgres_cores=cores,
        wal_mb_a_second=wal,
        stored_tb=stored,
        postgreses=math.ceil(max(needed)),
    )


def walls(
    costs: Costs, stored_bytes: float, habits: Habits, machine: Machine
) -> list[tuple[str, float]]:
    """Return what ends first as users come, with the number of users, the nearest first.

    By the average alone: all of it grows with the users.
    """
    rate, day = habits.messages_a_second(1_000_000), habits.messages_a_day(1_000_000)
    days = habits.kept_years * _SECONDS_A_YEAR_DAYS
    taken = {
        "one Redis: its core": rate * costs.cpu_ms["redis"] / 1000 / machine.busy,
        "16 masters: their cores": rate * costs.cpu_ms["redis"] / 1000 / machine.busy / PARTITIONS,
        "one PostgreSQL: its cores": costs.cores("postgres", rate) / machine.busy / machine.cores,
        "one PostgreSQL: its WAL": (
            rate * costs.wal_bytes / 1e6 / machine.busy / machine.wal_mb_a_second
        ),
        "one PostgreSQL: its disk": day * days * stored_bytes / 1e12 / machine.disk_tb,
    }
    return sorted(((name, 1e6 / part) for name, part in taken.items()), key=lambda wall: wall[1])


def _first(is_enough: Callable[[int], bool], least: int) -> int:
    number = least
    while not is_enough(number):
        number += max(1, number // 16)
    return number
