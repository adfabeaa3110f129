"""How many bytes of files the running turns of one process may hold, and those of one user."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from api.core.errors import Unavailable

#: Bytes of files that all turns of one process hold. What a model is sent of an image takes more
#: besides, each time 4/3 of it: the text in base64, and the body of the request.
HELD_MOST_BYTES: Final = 64 * 1024 * 1024
#: The same of one user's turns: two of the largest, and there is room for one of somebody else.
USER_HELD_MOST_BYTES: Final = 40 * 1024 * 1024
#: How long a turn waits for room, and when to try again after that.
WAIT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 5


class FileRoom:
    """The room for files of one process's turns."""

    def __init__(self) -> None:
        self._of_all = _Room(HELD_MOST_BYTES)
        #: Kept by the turns that hold some of them, or wait.
        self._of_users: WeakValueDictionary[int, _Room] = WeakValueDictionary()

    @asynccontextmanager
    async def held(self, user_id: int, size: int) -> AsyncIterator[None]:
        """Hold so many bytes of a user's. Raises Unavailable if they do not get free in time."""
        own = self._of_users.setdefault(user_id, _Room(USER_HELD_MOST_BYTES))
        async with AsyncExitStack() as taken:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    for room in (own, self._of_all):
                        await room.take(size)
                        taken.callback(room.give_back, size)
            except TimeoutError as error:
                detail = "answers that are being made hold too many files"
                raise Unavailable(detail, retry_after_seconds=RETRY_SECONDS) from error
            yield


class _Room:
    """So many bytes; who finds too few of them free waits, in the order of coming."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._first = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        async with self._first:  # whoever came later waits for this one
            while self._free < size:
                self._freed.clear()
                await self._freed.wait()
            self._free -= size

    def give_back(self, size: int) -> None:
        self._free += size
        self._freed.set()
