"""How many reads one user has in flight: others must not wait for a user who asks for much."""

import asyncio
from dataclasses import dataclass
from typing import Final

from api.core.errors import TooMany

#: Reads of one user, from the query until the answer was sent; more wait.
READS_PER_USER: Final = 4
_MANY_READS: Final = "too many reads of this account are in flight"
#: How long they do, before 429.
WAIT_SECONDS: Final = 10.0


@dataclass(slots=True)
class _User:
    free: asyncio.Semaphore
    #: Requests that hold a slot or wait for one.
    requests: int = 0


class ReadSlots:
    """The slots of all users who are reading in one process.

    `full` is the message where a request got none in time.
    """

    def __init__(self, per_user: int = READS_PER_USER, full: str = _MANY_READS) -> None:
        self._per_user = per_user
        self._full = full
        self._users: dict[int, _User] = {}

    def slot(self, user_id: int) -> "ReadSlot":
        """Return one request's slot, not taken yet."""
        return ReadSlot(self, user_id)

    async def take(self, user_id: int) -> None:
        """Wait for a slot. Raises TooMany if none is free in time."""
        user = self._users.setdefault(user_id, _User(asyncio.Semaphore(self._per_user)))
        user.requests += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await user.free.acquire()
        except BaseException as error:
            self._leave(user_id, user)
            if isinstance(error, TimeoutError):
                raise TooMany(self._full, retry_after_seconds=1) from error
            raise

    def release(self, user_id: int) -> None:
        """Give a slot back."""
        user = self._users[user_id]
        user.free.release()
        self._leave(user_id, user)

    def _leave(self, user_id: int, user: _User) -> None:
        user.requests -= 1
        if not user.requests:
            del self._users[user_id]


class ReadSlot:
    """A slot that one request takes and gives back, as often as it needs to."""

    def __init__(self, slots: ReadSlots, user_id: int) -> None:
        self._slots = slots
        self._user_id = user_id
        self._is_held = False

    async def take(self) -> None:
        """Wait for the slot, unless it is held. Raises TooMany if none is free in time."""
        if not self._is_held:
            await self._slots.take(self._user_id)
            self._is_held = True

    def release(self) -> None:
        """Give the slot back, if it is held."""
        if self._is_held:
            self._is_held = False
            self._slots.release(self._user_id)
