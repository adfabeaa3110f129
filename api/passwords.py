"""Passwords: argon2id, one at a time, in a process of its own.

Each hash takes 19 MiB and tens of milliseconds of a whole core, and a burst of sign-ins must starve
neither the event loop nor the reads. A thread would take them along, whatever its priority: Linux
shares its time among processes or groups of them, and one that hashes has had its share already
when its event loop wants to run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from api.core.errors import Unavailable

#: OWASP's first recommendation for argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
#: Sign-ins and registrations at once in one process; one more is refused.
HASHING_ROOM: Final = 32
#: Chats go first.
NICENESS: Final = 19
_AUTOGROUP: Final = Path("/proc/self/autogroup")


def hasher() -> PasswordHasher:
    """Return what hashes a password, with today's parameters."""
    return PasswordHasher(
        time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, encoding="utf-8"
    )


class Passwords:
    """Hashes and checks passwords, one at a time."""

    def __init__(self) -> None:
        self._turn = CapacityLimiter(1)
        self._seats_taken = 0
        #: What an unknown name is checked against, so that it takes as long as a known one.
        self._nobodys_hash = hasher().hash("nobody has this password")

    @contextmanager
    def seat(self) -> Iterator["Seat"]:
        """Let somebody in who proves who they are. Raises Unavailable when too many are inside.

        Whoever is refused here has cost next to nothing, and has made no attempt that counts.
        """
        if self._seats_taken >= HASHING_ROOM:
            raise Unavailable("too many people are signing in at this moment")
        self._seats_taken += 1
        try:
            yield Seat(self._nobodys_hash, self._turn)
        finally:
            self._seats_taken -= 1

    def is_outdated(self, password_hash: str) -> bool:
        """Tell whether a right password should be hashed again with today's parameters."""
        return hasher().check_needs_rehash(password_hash)


@dataclass(frozen=True, slots=True)
class Seat:
    """What somebody may do who was let in. Raises Unavailable where the process was killed."""

    _nobodys_hash: str
    _turn: CapacityLimiter

    async def hash(self, password: str) -> str:
        """Return a salted hash."""
        with _alive():
            return await to_process.run_sync(_hash, password, limiter=self._turn)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password is right; without a hash (unknown name) it never is."""
        known = password_hash or self._nobodys_hash
        with _alive():
            matches = await to_process.run_sync(_matches, known, password, limiter=self._turn)
        return matches and password_hash is not None


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except BrokenWorkerProcess as error:
        raise Unavailable("no password can be checked at this moment") from error


# In the other process


def _hash(password: str) -> str:
    _step_back()
    return hasher().hash(password)


def _matches(password_hash: str, password: str) -> bool:
    _step_back()
    try:
        return hasher().verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


@cache
def _step_back() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # Linux may share its time among sessions first (autogroup): one of its own, as modest.
    os.setsid()
    with suppress(OSError):
        _AUTOGROUP.write_text(str(NICENESS))
