"""Caches go before anybody is refused: while Redis fills up, what PostgreSQL also has is removed.

What the log keeps though it was committed goes first, then recent turns and finished streams, then
what is known of conversations and external ids. A turn whose recent turns went loads them from
PostgreSQL again.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from api.core.errors import Unavailable
from api.writes.async_log import AsyncLog

logger = logging.getLogger(__name__)

#: Parts of Redis' maxmemory above which caches go; `group_commit` says from when on who is refused.
KEPT_GOES: Final = 0.50
TURNS_GO: Final = 0.55
CONVERSATIONS_GO: Final = 0.60
CHECK_SECONDS: Final = 1.0
#: Calls between two looks at the memory.
CALLS: Final = 10


class Caches:
    """Removes caches from the log's Redis while it is too full."""

    def __init__(self, log: AsyncLog, memory_ratio: Callable[[], float]) -> None:
        self._log = log
        self._memory_ratio = memory_ratio
        self._cursor = 0
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look once a second from now on."""
        self._task = asyncio.create_task(self._run(), name="caches")

    async def stop(self) -> None:
        """Look no more. Nothing is cancelled: redis-py 8.1 swallows that, and goes on."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), CHECK_SECONDS)
                return
            try:
                await self.check()
            except Unavailable as error:
                logger.warning("caches cannot be removed: %s", type(error.__cause__).__name__)

    async def check(self) -> None:
        """Remove caches until the memory suffices, or all keys were looked at once."""
        ratio = self._memory_ratio()
        if ratio > KEPT_GOES and await self._log.drop_kept():
            ratio = await self._log.memory_ratio()
        while not self._stopping.is_set() and (kinds := _going(ratio)):
            for _ in range(CALLS):
                self._cursor = await self._log.evict(kinds, self._cursor)
                if self._cursor == 0:
                    return
            ratio = await self._log.memory_ratio()


def _going(ratio: float) -> Collection[str]:
    if ratio > CONVERSATIONS_GO:
        return ("turns", "stream", "conv", "ext")
    return ("turns", "stream") if ratio > TURNS_GO else ()
