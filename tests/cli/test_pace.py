import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from api.cli.replay.backoff import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Patience
from api.cli.replay.pace import Pace


def test_slots_come_at_the_rate() -> None:
    pace = Pace(100)

    assert [round(pace.wait_seconds(7.0), 6) for _ in range(4)] == [0, 0.01, 0.02, 0.03]


def test_a_slow_answer_does_not_slow_the_schedule_down() -> None:
    pace = Pace(10)
    pace.wait_seconds(0.0)

    late = [pace.wait_seconds(0.45) for _ in range(4)]  # due at 0.1 … 0.4

    assert late == [0, 0, 0, 0]
    assert round(pace.wait_seconds(0.45), 6) == 0.05


def test_without_a_rate_nobody_waits() -> None:
    pace = Pace(None)

    assert {pace.wait_seconds(0.0) for _ in range(1000)} == {0.0}


def test_many_senders_together_keep_the_rate() -> None:
    pace = Pace(200)

    async def sender() -> None:
        for _ in range(10):
            await pace.slot()

    async def senders() -> None:
        await asyncio.gather(*(sender() for _ in range(5)))

    began = time.monotonic()
    asyncio.run(senders())

    assert 49 / 200 <= time.monotonic() - began < 49 / 200 + 5


def test_waits_grow_and_are_capped() -> None:
    patience = Patience(1e9, now=0)

    waits = [patience.wait_seconds(0, None) or 0 for _ in range(12)]

    assert 0 < waits[0] <= FIRST_WAIT_SECONDS
    assert LONGEST_WAIT_SECONDS / 2 <= waits[-1] <= LONGEST_WAIT_SECONDS


@given(st.integers(0, 60), st.integers(0, 8))
def test_what_the_server_asks_for_is_kept(asked: int, tries: int) -> None:
    patience = Patience(1e9, now=0)
    for _ in range(tries):
        patience.wait_seconds(0, None)

    wait = patience.wait_seconds(0, str(asked))

    assert wait is not None
    assert asked <= wait <= asked + LONGEST_WAIT_SECONDS


def test_patience_ends() -> None:
    patience = Patience(10, now=100)

    assert patience.wait_seconds(109, "0") is not None
    assert patience.wait_seconds(109, "30") is None
    assert patience.wait_seconds(111, None) is None


def test_a_date_in_retry_after_counts_as_none() -> None:
    assert Patience(10, now=0).wait_seconds(0, "Wed, 21 Oct 2015 07:28:00 GMT") is not None
