"""Passwords: argon2id, one at a time.

A password is hashed in a thread of its own: each hash takes 19 MiB and tens of milliseconds, and a
burst of sign-ins must starve neither the event loop nor the reads. One thread leaves the other
cores to those that serve chats. It has their priority: a lower one would be made to wait with the
interpreter's lock in hand, and everybody with it.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from api.core.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")

#: OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
#: Sign-ins and registrations at once in one process; one more is refused.
HASHING_ROOM: Final = 32


def hasher() -> PasswordHasher:
    """Return what hashes a password, with today's parameters."""
    return PasswordHasher(
        time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, encoding="utf-8"
    )


class Passwords:
    """Hashes and checks passwords, one at a time."""

    def __init__(self) -> None:
        self._hasher = hasher()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._seats_taken = 0
        #: What an unknown name is checked against, so that it takes as long as a known one.
        self._nobodys_hash = self._hasher.hash("nobody has this password")

    @contextmanager
    def seat(self) -> Iterator["Seat"]:
        """Let somebody in who proves who they are. Raises Unavailable when too many are inside.

        Whoever is refused here has cost next to nothing, and has made no attempt that counts.
        """
        if self._seats_taken >= HASHING_ROOM:
            raise Unavailable("too many people are signing in at this moment")
        self._seats_taken += 1
        try:
            yield Seat(self._hasher, self._nobodys_hash, self._pool)
        finally:
            self._seats_taken -= 1

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a right password should be hashed again with today's parameters."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let running hashes finish and start no more."""
        self._pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Seat:
    """What somebody may do who was let in."""

    _hasher: PasswordHasher
    _nobodys_hash: str
    _pool: Executor

    async def hash(self, password: str) -> str:
        """Return a salted hash."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password is right; without a hash (unknown name) it never is."""
        matches = await self._run(self._matches, password_hash or self._nobodys_hash, password)
        return matches and password_hash is not None

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(*args, **kwargs))
