import json
import random
import subprocess
import sys

import pytest

from tests.chaos import schedule
from tests.chaos.faults.catalogue import CATALOGUE


@pytest.mark.timeout(300)
def test_nothing_is_lost_in_a_short_campaign() -> None:
    campaign = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--short", "--rate=40", "--reads=20"],
        capture_output=True,
        text=True,
        check=False,
    )

    told = json.loads(campaign.stdout.splitlines()[-1])
    assert told["violations"] == 0, campaign.stdout
    assert told["fault_count"] >= 30
    assert told["acknowledged"] > 0
    assert campaign.returncode == 0


@pytest.mark.timeout(300)
def test_what_everysec_loses_is_counted_and_nothing_takes_its_place() -> None:
    campaign = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--short", "--rate=60", "--reads=10",
         "--durability=everysec", "--only=redis: power loss", "--times=3"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    told = json.loads(campaign.stdout.splitlines()[-1])
    assert told["bytes_lost_with_power"] > 0
    assert told["violations"] == 0, campaign.stdout


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


def test_every_fault_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in CATALOGUE]

    assert len(set(names)) == len(names) >= 45
