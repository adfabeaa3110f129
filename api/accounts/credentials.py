"""Credentials: whose a name and a password are, and the session that they open.

All of it happens in the process where passwords are hashed, with connections of its own: counting
failures, looking an account up and opening its session are some milliseconds of Python, which in a
storm of sign-ins would hold back everybody's messages.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine

from api.accounts.passwords import Passwords, hasher, is_outdated, matches
from api.accounts.repositories import UserRepository
from api.accounts.session_store import Opened, SessionRows
from api.accounts.throttle import Throttle
from api.core import redis_client
from api.core.database import Viewer, api_engine, reading, writing
from api.core.errors import Unauthenticated, Unavailable
from api.core.log import Log
from api.core.models import User
from api.core.settings import Settings


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

    async def check(self, username: str, password: str, address: str) -> bool:
        """Tell whether they belong together.

        Raises TooMany after too many failures, Unavailable where too many people try at once or
        PostgreSQL does not answer.
        """
        with self._passwords.seat() as seat:
            return await seat.run(_check, self._settings, username, password, address)

    async def sign_in(
        self, username: str, password: str, address: str, *, rotates: bool
    ) -> tuple[User, Opened]:
        """Open a session for whoever knows both; a refresh token `rotates`, a cookie does not.

        Raises Unauthenticated, and what `check` raises.
        """
        with self._passwords.seat() as seat:
            return await seat.run(_sign_in, self._settings, username, password, address, rotates)


# In the other process


@dataclass(frozen=True, slots=True)
class _Desk:
    """What is open there."""

    settings: Settings
    engine: Engine
    throttle: Throttle
    sessions: SessionRows

    def check(self, username: str, password: str, address: str) -> User | None:
        self.throttle.admit(username, address)
        with reading(self.engine, Viewer(signing_in=username)) as session:
            user = UserRepository(session).by_name(username)
        if not matches(user.password_hash if user else None, password) or user is None:
            self.throttle.failed(username, address)
            return None
        self.throttle.succeeded(username, address)
        return user

    def sign_in(
        self, username: str, password: str, address: str, rotates: bool
    ) -> tuple[User, Opened]:
        user = self.check(username, password, address)
        if user is None:
            raise Unauthenticated("the username or the password is wrong")
        fresh = hasher().hash(password) if is_outdated(user.password_hash) else None
        with writing(self.engine, Viewer(user.id)) as session:
            if fresh:
                UserRepository(session).set_password(user.id, fresh)
            return user, self.sessions.open(session, user.id, rotates=rotates)


_desks: list[_Desk] = []


def _desk(settings: Settings) -> _Desk:
    """Return the desk; there is one, unless apps of different settings share a process."""
    for desk in _desks:
        if desk.settings == settings:
            return desk
    log = Log(redis_client.connect(settings, "verbatim-api"), settings.log_namespace)
    engine = api_engine(settings, pool_size=1)
    _desks.append(_Desk(settings, engine, Throttle(settings), SessionRows(settings, log)))
    return _desks[-1]


def _prepare(settings: Settings) -> None:
    _desk(settings)


def _check(settings: Settings, username: str, password: str, address: str) -> bool:
    return _desk(settings).check(username, password, address) is not None


def _sign_in(
    settings: Settings, username: str, password: str, address: str, rotates: bool
) -> tuple[User, Opened]:
    return _desk(settings).sign_in(username, password, address, rotates)
