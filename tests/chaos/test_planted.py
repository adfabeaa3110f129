from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.chaos.planted import Planted, all_planted, apply, copied_tree, run_campaign
from tests.support.scale import FULL

PLANTED = all_planted()
#: The quickest one; FULL=1 runs all, for half an hour.
QUICK = "counted_twice"
RUN = [planted for planted in PLANTED if FULL or planted.name == QUICK]


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with copied_tree() as copied:
        yield copied


@cache
def unpatched(campaign: tuple[str, ...]) -> dict[str, int]:
    with copied_tree() as good:
        kinds: dict[str, int] = run_campaign(good, campaign)["violation_kinds"]
    return kinds


def test_enough_bugs_are_planted() -> None:
    assert len(PLANTED) >= 18


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_bug_still_applies(planted: Planted, tree: Path) -> None:
    assert apply(planted, tree, dry=True), f"make {planted.patch} anew"


@pytest.mark.slow
@pytest.mark.timeout(1_300)
@pytest.mark.parametrize("planted", RUN, ids=lambda planted: planted.name)
def test_a_planted_bug_is_caught_and_nothing_without_it(planted: Planted) -> None:
    with copied_tree() as broken:
        assert apply(planted, broken)
        caught = run_campaign(broken, planted.campaign)

    assert planted.verdict in caught["violation_kinds"], caught
    # That a campaign finds nothing without a bug, test_campaign shows of the short one.
    assert not (FULL and unpatched(planted.campaign))
