import json
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import pytest

from tests.chaos import schedule
from tests.chaos.faults.base import BLIND_TRAPS, Fault, Traps
from tests.chaos.faults.catalogue import CATALOGUE, ON_A_CLUSTER
from tests.support.scale import FULL

#: A minute on a quiet machine. When all is over the system has a minute to heal, and the load
#: three to finish: one that got stuck says so itself before this.
_LONGEST_SECONDS: Final = 420.0
#: Random seeds belong to `make chaos`. This hand has a log that forgets conversations, and one that
#: belongs to another database.
_SEED: Final = 63


@pytest.mark.slow
@pytest.mark.timeout(_LONGEST_SECONDS + 60)
def test_nothing_is_lost_in_a_short_campaign() -> None:
    told, said = campaign(f"--seed={_SEED}", "--rate=20", "--reads=10")

    assert told["violations"] == 0, said
    assert told["fault_count"] >= 30
    assert told["acknowledged"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="the gate is the same each time; FULL=1 takes a new seed")
@pytest.mark.timeout(_LONGEST_SECONDS + 60)
def test_nothing_is_lost_in_a_campaign_of_a_new_seed() -> None:
    told, said = campaign("--rate=40", "--reads=20")

    assert told["violations"] == 0, said


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="what a loss of power takes depends on the machine's timing")
@pytest.mark.timeout(_LONGEST_SECONDS + 60)
def test_what_everysec_loses_is_counted_and_nothing_takes_its_place() -> None:
    told, said = campaign(
        f"--seed={_SEED}",
        "--rate=60",
        "--reads=5",
        "--durability=everysec",
        "--only=redis: power loss",
        "--times=3",
    )

    assert told["bytes_lost_with_power"] > 0
    assert told["violations"] == 0, said


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="two minutes; one fault after the other is in make chaos")
@pytest.mark.timeout(_LONGEST_SECONDS + 60)
def test_nothing_is_lost_on_a_cluster_whose_replicas_are_waited_for() -> None:
    told, said = campaign("--cluster", "--rate=40", "--reads=20")

    assert told["violations"] == 0, said
    assert (told["masters"], told["replicas_waited_for"]) == (3, 1)
    assert not told["losses_allowed"]


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="what a failover takes depends on the machine's timing")
@pytest.mark.timeout(_LONGEST_SECONDS + 60)
def test_what_a_cluster_loses_is_counted_where_no_replica_is_waited_for() -> None:
    told, said = campaign(
        "--cluster",
        "--replicas=0",
        f"--seed={_SEED}",
        "--rate=60",
        "--reads=5",
        "--only=cluster: a master is cut off",
        "--times=3",
    )

    assert told["verdicts"]["lost"] > 0
    assert told["violations"] == 0, said


def campaign(*options: str) -> tuple[dict[str, Any], str]:
    """Run a short campaign; return its last line, and all that it said."""
    command = [sys.executable, "-m", "tests.chaos", "--short", *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()  # it then says where it was
            said, _ = process.communicate()
    last = said.splitlines()[-1]
    assert last.startswith("{"), said
    return json.loads(last), said


def test_the_same_seed_gives_the_same_faults() -> None:
    first, second, other = (
        [one.names for one in schedule.short(CATALOGUE, random.Random(seed))]
        for seed in ("7", "7", "8")
    )

    assert first == second != other


def test_a_short_campaign_deals_hands_of_three_faults_with_different_targets() -> None:
    rounds = list(schedule.short(CATALOGUE, random.Random("7")))

    dealt = [fault for one in rounds for fault, _ in one.faults]
    assert len(dealt) == len(set(dealt)) == 33
    assert all(len({f.target for f, _ in one.faults}) == 3 for one in rounds)


def test_a_thorough_campaign_begins_with_each_fault_alone() -> None:
    rounds = schedule.thorough(CATALOGUE, random.Random("7"))

    assert [next(rounds).names for _ in CATALOGUE] == [fault.name for fault in CATALOGUE]
    assert len(next(rounds).faults) > 1


@pytest.mark.parametrize(("catalogue", "least"), [(CATALOGUE, 45), (ON_A_CLUSTER, 40)])
def test_every_fault_has_a_name_of_its_own(catalogue: Sequence[type[Fault]], least: int) -> None:
    names = [fault.name for fault in catalogue]

    assert len(set(names)) == len(names) >= least


def test_a_fault_that_many_traps_waited_for_in_vain_is_told() -> None:
    traps = Traps()
    traps.laid.update({"never": BLIND_TRAPS, "once": BLIND_TRAPS, "seldom tried": BLIND_TRAPS - 1})
    traps.sprung["once"] += 1

    assert traps.blind == ["never"]
