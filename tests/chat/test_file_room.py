"""Running turns hold so many bytes of files, all together and each user's; others wait."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.chat import file_room
from api.chat.file_room import FileRoom
from api.core.errors import Unavailable

ADA, EVE = 1, 2


@pytest.fixture(autouse=True)
def room_for_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_room, "HELD_MOST_BYTES", 10)
    monkeypatch.setattr(file_room, "USER_HELD_MOST_BYTES", 6)
    monkeypatch.setattr(file_room, "WAIT_SECONDS", 60)


class Turns:
    """Turns that hold files until they are told to end."""

    def __init__(self) -> None:
        self.room = FileRoom()
        self.holding: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, name: str, user: int, size: int) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._run(name, user, size))
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await settled()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await settled()

    async def _run(self, name: str, user: int, size: int) -> None:
        async with self.room.held(user, size):
            self.holding.append(name)
            await self._ends[name].wait()
        self.holding.remove(name)


async def settled() -> None:
    """Let all tasks go on as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextmanager
def without_waiting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_room, "WAIT_SECONDS", 0)
        yield


def test_turns_wait_for_room_in_the_order_of_coming() -> None:
    async def scenario() -> None:
        turns = Turns()
        await turns.begin("first", ADA, 6)
        await turns.begin("large", EVE, 5)
        await turns.begin("small", EVE, 1)
        assert turns.holding == ["first"]

        await turns.end("first")
        assert turns.holding == ["large", "small"]
        await turns.begin("whole", ADA, 6)
        assert turns.holding == ["large", "small"]
        await turns.end("small")
        await turns.end("large")
        assert turns.holding == ["whole"]
        await turns.end("whole")

    asyncio.run(scenario())


def test_what_one_user_holds_leaves_room_for_others() -> None:
    async def scenario() -> None:
        turns = Turns()
        await turns.begin("first", ADA, 4)
        await turns.begin("second", ADA, 4)
        await turns.begin("of eve", EVE, 6)
        assert turns.holding == ["first", "of eve"]

        await turns.end("first")
        assert turns.holding == ["of eve", "second"]
        await turns.end("of eve")
        await turns.end("second")

    asyncio.run(scenario())


def test_who_waits_for_too_long_or_goes_holds_nothing() -> None:
    async def scenario() -> None:
        turns = Turns()
        await turns.begin("first", ADA, 6)
        await turns.begin("little", EVE, 1)
        with without_waiting(), pytest.raises(Unavailable):
            async with turns.room.held(EVE, 5):
                pass
        await turns.begin("gone", EVE, 5)
        await turns.cancel("gone")
        await turns.begin("fits", EVE, 3)
        assert turns.holding == ["first", "little", "fits"]

        for name in ("first", "little", "fits"):
            await turns.end(name)
        with without_waiting():  # all of it is free again
            async with turns.room.held(ADA, 6), turns.room.held(EVE, 4):
                pass

    asyncio.run(scenario())
