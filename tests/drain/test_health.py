"""Which partitions a drain works on, tries alone or skips, and how large their batches are."""

import pytest

from workers.health import PartitionHealth

WHOLE_BATCH = 8


@pytest.fixture
def health() -> PartitionHealth:
    return PartitionHealth(WHOLE_BATCH)


def test_partitions_are_healthy_at_first(health: PartitionHealth) -> None:
    assert all(health.is_workable(partition) for partition in range(16))
    assert not any(health.may_be_retried(partition) for partition in range(16))
    assert health.limits == {}


def test_a_partition_that_failed_alone_is_skipped_until_the_run_ends(
    health: PartitionHealth,
) -> None:
    health.suspect([3])

    assert health.has_failed(3)
    assert not health.is_workable(3)
    assert not health.may_be_retried(3)
    assert health.is_workable(4)


def test_in_the_next_run_it_is_retried_alone(health: PartitionHealth) -> None:
    health.suspect([3])
    health.begin_run()

    assert not health.has_failed(3)
    assert not health.is_workable(3)
    assert health.may_be_retried(3)


def test_a_suspect_that_fails_again_is_skipped_again(health: PartitionHealth) -> None:
    health.suspect([3])
    health.begin_run()
    health.suspect([3])

    assert not health.may_be_retried(3)
    health.begin_run()
    assert health.may_be_retried(3)


def test_a_suspect_that_commits_is_healthy_at_once(health: PartitionHealth) -> None:
    health.suspect([3, 4])
    health.begin_run()
    health.commit([3])

    assert health.is_workable(3)
    assert not health.is_workable(4)


def test_a_partition_whose_purge_failed_is_healthy_in_the_next_run(
    health: PartitionHealth,
) -> None:
    health.set_aside([3])

    assert health.has_failed(3)
    assert not health.is_workable(3)
    health.begin_run()
    assert health.is_workable(3)
    assert not health.may_be_retried(3)


def test_a_partition_that_waits_for_a_newer_worker_is_skipped_and_has_not_failed(
    health: PartitionHealth,
) -> None:
    health.wait([3])

    assert not health.is_workable(3)
    assert not health.has_failed(3)
    health.begin_run()
    assert health.is_workable(3)


def test_a_suspect_that_waits_is_not_retried_in_this_run(health: PartitionHealth) -> None:
    health.suspect([3])
    health.begin_run()
    health.wait([3])

    assert not health.may_be_retried(3)


@pytest.mark.parametrize(
    ("tried", "limits"),
    [
        pytest.param([8], [4], id="half of what was tried"),
        pytest.param([8, 4, 2], [4, 2, 1], id="half again each time"),
        pytest.param([1], [1], id="but one entry at least"),
        pytest.param([3], [1], id="rounded down"),
        pytest.param([8, 8], [4, 2], id="of the limit, where that is less than a share"),
        pytest.param([8, 2], [4, 1], id="of the share, where that is less than the limit"),
    ],
)
def test_a_timeout_halves_the_batch(
    health: PartitionHealth, tried: list[int], limits: list[int]
) -> None:
    seen = []
    for entries in tried:
        health.time_out([3, 5], entries)
        assert health.limits[3] == health.limits[5]
        seen.append(health.limits[3])

    assert seen == limits


def test_a_timeout_alone_makes_no_suspect(health: PartitionHealth) -> None:
    health.time_out([3], 8)

    assert health.is_workable(3)


def test_each_commit_doubles_the_batch_until_it_is_whole(health: PartitionHealth) -> None:
    for tried in (8, 4, 2):
        health.time_out([3], tried)
    seen = []
    for _ in range(4):
        health.commit([3, 4])
        seen.append(health.limits.get(3))

    assert seen == [2, 4, None, None]
    assert 4 not in health.limits


def test_limits_and_suspects_outlive_a_run_and_what_is_skipped_does_not(
    health: PartitionHealth,
) -> None:
    health.time_out([1], 8)
    health.suspect([2])
    health.set_aside([3])
    health.wait([4])
    health.begin_run()

    assert health.limits == {1: 4}
    assert [p for p in range(16) if not health.is_workable(p)] == [2]
