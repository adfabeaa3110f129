import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from api.cli.replay.backoff import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, Backoff
from api.cli.replay.pace import Pace


def test_slots_are_due_at_the_rate() -> None:
    pace = Pace(100)

    assert [round(pace.wait_seconds(7.0), 6) for _ in range(4)] == [0, 0.01, 0.02, 0.03]


def test_a_slow_answer_does_not_slow_the_schedule_down() -> None:
    pace = Pace(10)
    pace.wait_seconds(0.0)

    late = [pace.wait_seconds(0.45) for _ in range(4)]  # due at 0.1 … 0.4

    assert late == [0, 0, 0, 0]
    assert round(pace.wait_seconds(0.45), 6) == 0.05


def test_without_a_rate_there_is_no_delay() -> None:
    pace = Pace(None)

    assert {pace.wait_seconds(0.0) for _ in range(1000)} == {0.0}


def test_many_senders_share_one_rate() -> None:
    pace = Pace(200)

    async def sender() -> None:
        for _ in range(10):
            await pace.slot()

    async def senders() -> None:
        await asyncio.gather(*(sender() for _ in range(5)))

    began = time.monotonic()
    asyncio.run(senders())

    assert 49 / 200 <= time.monotonic() - began < 49 / 200 + 5


def test_delays_grow_up_to_a_maximum() -> None:
    backoff = Backoff(1e9, now=0)

    delays = [backoff.delay_seconds(0, None) or 0 for _ in range(12)]

    assert 0 < delays[0] <= FIRST_DELAY_SECONDS
    assert MAX_DELAY_SECONDS / 2 <= delays[-1] <= MAX_DELAY_SECONDS


@given(st.integers(0, 60), st.integers(0, 8))
def test_a_delay_is_never_shorter_than_retry_after(asked: int, tries: int) -> None:
    backoff = Backoff(1e9, now=0)
    for _ in range(tries):
        backoff.delay_seconds(0, None)

    delay = backoff.delay_seconds(0, str(asked))

    assert delay is not None
    assert asked <= delay <= asked + MAX_DELAY_SECONDS


def test_retries_end_when_time_is_up() -> None:
    backoff = Backoff(10, now=100)

    assert backoff.delay_seconds(109, "0") is not None
    assert backoff.delay_seconds(109, "30") is None
    assert backoff.delay_seconds(111, None) is None


def test_a_date_in_retry_after_is_ignored() -> None:
    assert Backoff(10, now=0).delay_seconds(0, "Wed, 21 Oct 2015 07:28:00 GMT") is not None
