"""One user's reads: bounded while they are in flight, and no matter to others."""

import asyncio

import pytest

from api.core.errors import TooMany
from api.reads import slots
from api.reads.slots import ReadSlots

ADA, EVE = 1, 2


def test_one_more_waits_until_a_slot_is_given_back_and_others_do_not() -> None:
    async def scenario() -> None:
        both = ReadSlots(2)
        held = [both.slot(ADA), both.slot(ADA)]
        for slot in held:
            await slot.take()
        waiting = asyncio.create_task(both.slot(ADA).take())
        await both.slot(EVE).take()
        await asyncio.sleep(0)
        assert not waiting.done()

        held[0].release()

        await waiting

    asyncio.run(scenario())


def test_who_waits_too_long_is_refused_and_takes_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "WAIT_SECONDS", 0.01)

    async def scenario() -> None:
        one = ReadSlots(1)
        held = one.slot(ADA)
        await held.take()

        with pytest.raises(TooMany) as refused:
            await one.slot(ADA).take()

        assert refused.value.retry_after_seconds == 1
        held.release()
        await one.slot(ADA).take()

    asyncio.run(scenario())


def test_one_that_goes_away_while_it_waits_leaves_its_place() -> None:
    async def scenario() -> None:
        one = ReadSlots(1)
        held = one.slot(ADA)
        await held.take()
        gone = asyncio.create_task(one.slot(ADA).take())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)

        held.release()

        await one.slot(ADA).take()

    asyncio.run(scenario())


def test_a_slot_is_taken_and_given_back_once() -> None:
    async def scenario() -> None:
        one = ReadSlots(1)
        slot = one.slot(ADA)
        await slot.take()
        await slot.take()
        slot.release()
        slot.release()

        await one.slot(ADA).take()
        assert list(one._users) == [ADA]

    asyncio.run(scenario())
