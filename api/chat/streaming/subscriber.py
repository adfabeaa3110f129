"""Listening to running turns, whichever process runs them.

This process's own are heard as soon as they are written; the others' by one poll, shared by all.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from api.core import ids, tasks
from api.core.errors import Unavailable
from api.core.turns import Said, read_said
from api.writes.async_log import AsyncLog

logger = logging.getLogger(__name__)

#: How often other processes' turns, and requests to stop one of ours, are read.
POLL_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 0.5
#: After this long without a word listeners are woken all the same.
SILENCE_SECONDS: Final = 10.0


class TurnFeed:
    """What one turn has said so far, and its watchers."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.length = 0
        self.parts = 0
        self.has_ended = False
        self.listeners = 0
        self.is_to_stop = False
        #: Tells who runs the turn here that it is to stop; once.
        self.on_stop: Callable[[], None] | None = None
        #: The stream's id after which the next poll begins.
        self.known_id = "0-0"
        self.woken_at = time.monotonic()
        self._woken = asyncio.Event()

    def hear(self, said: Sequence[Said]) -> None:
        """Add what goes on where the last left off, and wake everybody.

        All of it may come twice, written here and polled: what is known is passed over. So is what
        leaves a gap (the end of a turn that another process began): the poll brings the whole.
        """
        before = len(self.said)
        for one in said:
            if one.kind == "stop":
                self.asked_to_stop()
            elif one.kind == "delta" and one.length == self.length + len(one.text):
                self.length = one.length
                self.said.append(one)
            elif one.kind == "part":
                self._hear_part(one)
            elif one.kind != "delta" and one.length == self.length and not self.has_ended:
                self.has_ended = True
                self.said.append(one)
        if len(self.said) > before:
            self.wake()

    def _hear_part(self, one: Said) -> None:
        if one.length == self.length and json.loads(one.text)["index"] == self.parts:
            self.parts += 1
            self.said.append(one)

    def asked_to_stop(self) -> None:
        """End the answer where it is."""
        self.is_to_stop = True
        on_stop, self.on_stop = self.on_stop, None
        if on_stop is not None:
            on_stop()

    def wake(self) -> None:
        """Have everybody look, though there may be nothing new."""
        self.woken_at = time.monotonic()
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()

    async def more(self, known: int) -> list[Said]:
        """Wait, and return what was said after the first `known`: nothing after a long silence."""
        if len(self.said) <= known:
            await self._woken.wait()
        return self.said[known:]


class TurnSubscriber:
    """The turns that anybody in this process runs or listens to."""

    def __init__(self, log: AsyncLog) -> None:
        self._log = log
        self._turns: dict[int, TurnFeed] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run(), name="turn-subscriber")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            await tasks.end(self._task)

    @contextmanager
    def listening(
        self, turn_id: int, on_stop: Callable[[], None] | None = None
    ) -> Iterator[TurnFeed]:
        """Follow a turn while the context lasts; `on_stop` is for who runs it."""
        turn = self._turns.setdefault(turn_id, TurnFeed())
        turn.listeners += 1
        if on_stop is not None:
            turn.on_stop = on_stop
            if turn.is_to_stop:
                turn.asked_to_stop()
        self._wanted.set()
        try:
            yield turn
        finally:
            turn.listeners -= 1
            if not turn.listeners:
                self._turns.pop(turn_id, None)

    def written(self, turn_id: int, said: Said, *, stop_asked: bool) -> None:
        """Hear what one of this process's turns has just said."""
        if turn := self._turns.get(turn_id):
            turn.hear([said])
            if turn.length == said.length:
                turn.known_id = f"{said.length}-0"
            if stop_asked:
                turn.asked_to_stop()

    async def _run(self) -> None:
        pause_seconds: float | None = None
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause_seconds)
            self._wanted.clear()
            pause_seconds = await self._poll() if self._turns else None
            for turn in self._turns.values():
                if time.monotonic() - turn.woken_at > SILENCE_SECONDS:
                    turn.wake()

    async def _poll(self) -> float:
        asked: list[str | int] = []
        at: set[int] = set()
        for turn_id, turn in self._turns.items():
            if not turn.has_ended:
                asked += turn_id, turn.known_id
                at.add(ids.partition_of(turn_id))
        if not asked:
            return POLL_SECONDS
        try:
            heard = await self._log.run("heard", *asked, at=at)
        except Unavailable as error:
            logger.warning("running turns are not heard: %s", type(error.__cause__).__name__)
            return RETRY_SECONDS
        for turn_id, entries in heard:
            if known := self._turns.get(int(turn_id)):
                known.hear(read_said(entries))
                known.known_id = entries[-1][0].decode()
        return POLL_SECONDS
