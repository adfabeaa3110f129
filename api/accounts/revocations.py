"""The sessions and API keys that were revoked, as one process knows them.

The log is asked for them once a second. A read needs no PostgreSQL, and no question to Redis, to
refuse a key or an access token of them. (A write is checked by the log itself, at once.)
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from api.core.caller import Caller
from api.core.errors import Unavailable
from api.writes.async_log import AsyncLog

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0


class Revocations:
    """Knows which sessions were revoked while an access token may live, and which keys."""

    def __init__(self, log: AsyncLog) -> None:
        self._log = log
        self._sessions: frozenset[str] = frozenset()
        self._stopping = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        #: What waits for the end of a session, by session.
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def start(self) -> None:
        """Look once if Redis is there, then every second."""
        await self._look()
        self._polling = asyncio.create_task(self._poll(), name="revocations")

    async def stop(self) -> None:
        """Look no more. Nothing is cancelled: redis-py 8.1 swallows that, and goes on."""
        self._stopping.set()
        if self._polling is not None:
            await self._polling

    def includes(self, caller: Caller) -> bool:
        """Return whether the caller's session or key was revoked, as of the last look."""
        return not self._sessions.isdisjoint(caller.names)

    def has(self, name: str) -> bool:
        """Return whether a name is in the list, as of the last look."""
        return name in self._sessions

    async def until_revoked(self, caller: Caller) -> None:
        """Wait until the caller's session or key is seen to be revoked."""
        if self.includes(caller):
            return
        revoked = asyncio.Event()
        for name in caller.names:
            self._waiting.setdefault(name, set()).add(revoked)
        try:
            await revoked.wait()
        finally:
            for name in caller.names:
                self._stop_waiting(name, revoked)

    def _stop_waiting(self, name: str, revoked: asyncio.Event) -> None:
        waiting = self._waiting[name]
        waiting.discard(revoked)
        if not waiting:
            del self._waiting[name]

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), POLL_SECONDS)
                return
            await self._look()

    async def _look(self) -> None:
        try:
            self._sessions = await self._log.revoked()
        except Unavailable as error:
            logger.warning("revoked sessions are not known: %s", type(error.__cause__).__name__)
        for name in self._sessions & self._waiting.keys():
            for revoked in self._waiting[name]:
                revoked.set()
