"""Credentials: whose a name and a password are.

Checked in the process where passwords are hashed, with connections of its own: counting an attempt
and looking an account up are a few milliseconds of Python, which in a storm of sign-ins would hold
back everybody's messages.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine

from api.core.database import Viewer, api_engine, reading, writing
from api.core.errors import Unavailable
from api.core.models import User
from api.core.settings import Settings
from api.passwords import Passwords, hasher, is_outdated, matches
from api.repositories import UserRepository
from api.throttle import Throttle


class Credentials:
    """Checks names and passwords, one at a time."""

    def __init__(self, settings: Settings, passwords: Passwords) -> None:
        self._settings = settings
        self._passwords = passwords
        self._starting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the other process, so that nobody waits for it."""
        self._starting = asyncio.create_task(self._start(), name="credentials")

    async def stop(self) -> None:
        """Let it start, if it has not yet; it ends with the event loop."""
        if self._starting is not None:
            await asyncio.wait([self._starting])

    async def _start(self) -> None:
        with suppress(Unavailable), self._passwords.seat() as seat:
            await seat.run(_prepare, self._settings)

    async def check(self, username: str, password: str, address: str) -> User | None:
        """Return whose they are, None if they are nobody's.

        Raises TooMany for too many attempts, Unavailable where too many people try at once or
        PostgreSQL does not answer.
        """
        with self._passwords.seat() as seat:
            return await seat.run(_check, self._settings, username, password, address)


# In the other process


@dataclass(frozen=True, slots=True)
class _Desk:
    """What is open there."""

    settings: Settings
    engine: Engine
    throttle: Throttle

    def check(self, username: str, password: str, address: str) -> User | None:
        self.throttle.admit(username, address)
        with reading(self.engine, Viewer(signing_in=username)) as session:
            user = UserRepository(session).by_name(username)
        if not matches(user.password_hash if user else None, password) or user is None:
            return None
        self.throttle.succeeded(username, address)
        if is_outdated(user.password_hash):
            with writing(self.engine, Viewer(user.id)) as session:
                UserRepository(session).set_password(user.id, hasher().hash(password))
        return user


_desks: list[_Desk] = []


def _desk(settings: Settings) -> _Desk:
    """Return the desk; there is one, unless apps of different settings share a process."""
    for desk in _desks:
        if desk.settings == settings:
            return desk
    _desks.append(_Desk(settings, api_engine(settings, pool_size=1), Throttle(settings)))
    return _desks[-1]


def _prepare(settings: Settings) -> None:
    _desk(settings)


def _check(settings: Settings, username: str, password: str, address: str) -> User | None:
    return _desk(settings).check(username, password, address)
