"""Listening to running turns, whichever process runs them: one poll for all, shared by all."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from redis.exceptions import RedisError

from api.core.turns import Said, read_said
from api.script import Script

logger = logging.getLogger(__name__)

#: How soon other processes' turns are heard; this one's own are heard when they are written.
POLL_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 0.5


class LiveTurn:
    """What one turn has said so far, and whoever listens."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.listeners = 0
        self._woken = asyncio.Event()

    @property
    def last_id(self) -> str:
        """The stream id of the last thing said."""
        return self.said[-1].stream_id if self.said else "0-0"

    def hear(self, said: list[Said]) -> None:
        """Add what was said and wake everybody."""
        self.said += said
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()

    async def more(self, known: int) -> list[Said]:
        """Return what was said after the first `known` entries, waiting for some."""
        while len(self.said) <= known:
            await self._woken.wait()
        return self.said[known:]


class LiveTurns:
    """The turns that anybody in this process listens to."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._turns: dict[int, LiveTurn] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run(), name="live-turns")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @contextmanager
    def listening(self, turn_id: int) -> Iterator[LiveTurn]:
        """Follow a turn while the context lasts."""
        turn = self._turns.setdefault(turn_id, LiveTurn())
        turn.listeners += 1
        self._wanted.set()
        try:
            yield turn
        finally:
            turn.listeners -= 1
            if not turn.listeners:
                self._turns.pop(turn_id, None)

    def look(self) -> None:
        """Have the next poll happen at once."""
        self._wanted.set()

    async def _run(self) -> None:
        pause_seconds: float | None = None
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause_seconds)
            self._wanted.clear()
            pause_seconds = await self._poll() if self._turns else None

    async def _poll(self) -> float:
        asked = [item for pair in self._turns.items() for item in (pair[0], pair[1].last_id)]
        try:
            heard = await self._script.run("heard", *asked)
        except (RedisError, OSError) as error:
            logger.warning("running turns are not heard: %s", type(error).__name__)
            return RETRY_SECONDS
        for turn_id, entries in heard:
            if turn := self._turns.get(int(turn_id)):
                turn.hear(read_said(entries))
        return POLL_SECONDS
