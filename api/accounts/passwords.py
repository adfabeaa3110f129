"""Passwords: argon2id, one at a time, in a process of its own.

Each hash takes 19 MiB and tens of milliseconds of a whole core, and a burst of sign-ins must starve
neither the event loop nor the reads. A thread would take them along, whatever its priority: Linux
shares its time among processes or groups of them, and one that hashes has had its share already
when its event loop wants to run. What else a sign-in needs is done there too
(`api.accounts.credentials`): in threads of this process it would hold the interpreter's lock.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar, TypeVarTuple

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from api.accounts.low_priority import step_back
from api.core.errors import Unavailable

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

#: OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
#: Sign-ins and registrations at once in one process; one more is refused.
HASHING_ROOM: Final = 32
#: Longest that one of them may take, others' before it included.
SEAT_SECONDS: Final = 30.0
#: What whoever is refused is told.
FULL: Final = "too many people are signing in at this moment"


def hasher() -> PasswordHasher:
    """Return what hashes a password, with today's parameters."""
    return PasswordHasher(
        time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, encoding="utf-8"
    )


class Passwords:
    """Lets people in who prove who they are."""

    def __init__(self) -> None:
        self._turn = CapacityLimiter(1)
        self._seats_taken = 0

    @property
    def is_full(self) -> bool:
        """One more would be refused."""
        return self._seats_taken >= HASHING_ROOM

    @contextmanager
    def seat(self) -> Iterator["Seat"]:
        """Let somebody in. Raises Unavailable when too many are inside.

        Whoever is refused here has cost next to nothing, and has made no attempt that counts.
        """
        if self.is_full:
            raise Unavailable(FULL)
        self._seats_taken += 1
        try:
            yield Seat(self._turn)
        finally:
            self._seats_taken -= 1


@dataclass(frozen=True, slots=True)
class Seat:
    """What somebody may do who was let in."""

    _turn: CapacityLimiter

    async def hash(self, password: str) -> str:
        """Return a salted hash. Raises Unavailable as `run` does."""
        return await self.run(_hash, password)

    async def run(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Run a function in the other process. Raises what it raises.

        Raises Unavailable where the process was killed, as it is when this takes too long.
        """
        try:
            async with asyncio.timeout(SEAT_SECONDS):
                return await to_process.run_sync(
                    _modestly, work, *arguments, cancellable=True, limiter=self._turn
                )
        except (BrokenWorkerProcess, TimeoutError) as error:
            raise Unavailable("no password can be checked at this moment") from error


# In the other process


def matches(password_hash: str | None, password: str) -> bool:
    """Tell whether the password is right; without a hash (unknown name) it never is.

    That takes as long.
    """
    try:
        hasher().verify(password_hash or _nobodys_hash(), password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return bool(password_hash)


def is_outdated(password_hash: str) -> bool:
    """Tell whether a right password should be hashed again with today's parameters."""
    return hasher().check_needs_rehash(password_hash)


@cache
def _nobodys_hash() -> str:
    return hasher().hash("nobody has this password")


def _hash(password: str) -> str:
    return hasher().hash(password)


def _modestly(work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    try:
        return work(*arguments)
    finally:
        # Not before: the first thing done is to get ready, which an end of the API waits for.
        step_back()
