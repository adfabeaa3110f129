"""When the watchdog rings, and when it takes its worker for deaf."""

import pytest

from workers.watchdog import HourlyRing, StallDetector


def seconds_until_due(detector: StallDetector, heads: dict[int, int], start: float = 0.0) -> float:
    now = start
    while not detector.is_ring_due(now, heads):
        now += 0.5
        assert now < start + 10
    return now - start


def test_entries_that_do_not_move_for_two_seconds_are_rung_for() -> None:
    assert seconds_until_due(StallDetector(), {3: 100}) == 2.0


def test_an_empty_log_is_never_rung_for() -> None:
    detector = StallDetector()

    assert not any(detector.is_ring_due(now, {}) for now in range(60))


@pytest.mark.parametrize("later", [{3: 101}, {3: 101, 4: 1}, {4: 1}], ids=["on", "both", "gone"])
def test_a_head_that_moves_starts_the_wait_again(later: dict[int, int]) -> None:
    detector = StallDetector()
    detector.is_ring_due(0.0, {3: 100})

    assert not detector.is_ring_due(1.9, later)
    assert not detector.is_ring_due(3.8, later)
    assert detector.is_ring_due(3.9, later)


def test_a_partition_that_joins_does_not_count_as_movement() -> None:
    detector = StallDetector()
    detector.is_ring_due(0.0, {3: 100})
    detector.is_ring_due(1.5, {3: 100, 4: 1})

    assert detector.is_ring_due(2.0, {3: 100, 4: 1, 5: 1})


def test_entries_after_a_pause_are_waited_for_anew() -> None:
    detector = StallDetector()
    detector.is_ring_due(0.0, {3: 100})
    detector.is_ring_due(1.0, {})

    assert seconds_until_due(detector, {3: 200}, start=50.0) == 2.0


def test_a_ring_starts_the_wait_again() -> None:
    detector = StallDetector()
    seconds_until_due(detector, {3: 100})
    detector.note_ring(2.0, starts=7)

    assert seconds_until_due(detector, {3: 100}, start=2.0) == 2.0


def test_three_rings_over_thirty_seconds_that_start_no_drain_are_deafness() -> None:
    detector = StallDetector()

    for now in (0.0, 15.0, 29.9):
        detector.note_ring(now, starts=7)
        assert not detector.is_deaf(now)

    assert detector.is_deaf(30.0)


def test_two_rings_are_too_few() -> None:
    detector = StallDetector()
    detector.note_ring(0.0, starts=7)
    detector.note_ring(40.0, starts=7)

    assert not detector.is_deaf(40.0)


def test_a_drain_that_started_anywhere_proves_hearing() -> None:
    detector = StallDetector()
    for now in range(0, 60, 2):
        detector.note_ring(float(now), starts=now)

        assert not detector.is_deaf(float(now))


def test_old_conversations_are_rung_for_at_the_start_and_once_an_hour() -> None:
    assert rung(HourlyRing(is_hourly=True)) == [0, 3_600, 7_200]


def test_without_them_it_is_rung_at_the_start_only() -> None:
    assert rung(HourlyRing(is_hourly=False)) == [0]


def rung(ring: HourlyRing) -> list[int]:
    rang = []
    for now in range(0, 10_000, 50):
        if ring.is_due(now):
            ring.note_ring(now)
            rang.append(now)
    return rang
