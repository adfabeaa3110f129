"""Checks of usernames and passwords, and the sign-in sessions created for them.

All of it runs in the password process, with connections of its own: throttling, the look-up of the
account and the new session are some milliseconds of Python, which in a storm of sign-ins would
delay every chat request.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

from sqlalchemy import Engine

from api.accounts.password_process import PasswordProcess
from api.accounts.passwords import hash_password, is_outdated, matches
from api.accounts.repositories import UserRepository
from api.accounts.session_store import RefreshToken, SessionStore
from api.accounts.throttle import Throttle
from api.core import redis_client
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer, api_engine, reading, writing
from api.core.errors import Unauthenticated, Unavailable
from api.core.log import Log
from api.core.models.accounts import User
from api.core.settings import Settings

_WRONG: Final = "the username or the password is wrong"


class Credentials:
    """Checks usernames and passwords, in the password process."""

    def __init__(
        self, settings: Settings, process: PasswordProcess, database: AsyncDatabase
    ) -> None:
        self._settings = settings
        self._process = process
        self._database = database
        self._starting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the process in the background, so that the first sign-in need not wait for it."""
        self._starting = asyncio.create_task(self._start(), name="credentials")

    async def stop(self) -> None:
        """Wait until the process has started; it ends with the event loop."""
        if self._starting is not None:
            await asyncio.wait([self._starting])

    async def _start(self) -> None:
        with suppress(Unavailable), self._process.slot() as slot:
            await slot.run(_prepare, self._settings)

    async def check(self, username: str, password: str, address: str) -> str | None:
        """Return the hash that a password was verified against, None if it is wrong.

        `address` is the client's, for throttling. What follows from a right password holds only
        while the user still has that hash (`UserRepository.has_password`, `replace_password`).
        Raises TooMany after too many failures; Unavailable if too many sign-ins are in flight, or
        PostgreSQL or the process does not answer.
        """
        self._database.note_use()
        with self._process.slot() as slot:
            return await slot.run(_check, self._settings, username, password, address)

    async def sign_in(
        self,
        username: str,
        password: str,
        address: str,
        *,
        rotates: bool,
        device: str | None = None,
    ) -> tuple[User, RefreshToken]:
        """Check a password and create a session; return the user and the session's refresh token.

        With `rotates`, the refresh token changes at each use; `device` is where it is kept.
        Raises Unauthenticated if username or password are wrong, and what `check` raises.
        """
        self._database.note_use()
        with self._process.slot() as slot:
            sign_in = partial(_sign_in, rotates=rotates, device=device)
            return await slot.run(sign_in, self._settings, username, password, address)


# In the password process


@dataclass(frozen=True, slots=True)
class _Authenticator:
    """What the process keeps between calls."""

    engine: Engine
    throttle: Throttle
    sessions: SessionStore

    def check(self, username: str, password: str, address: str) -> User | None:
        """Return the user if the password is right. Raises TooMany."""
        self.throttle.admit(username, address)
        with reading(self.engine, Viewer(signing_in=username)) as db:
            user = UserRepository(db).by_name(username)
        if not matches(user.password_hash if user else None, password) or user is None:
            self.throttle.failed(username, address)
            return None
        self.throttle.succeeded(username, address)
        return user

    def sign_in(
        self,
        username: str,
        password: str,
        address: str,
        *,
        rotates: bool,
        device: str | None = None,
    ) -> tuple[User, RefreshToken]:
        user = self.check(username, password, address)
        if user is None:
            raise Unauthenticated(_WRONG)
        verified = user.password_hash
        new_hash = hash_password(password) if is_outdated(verified) else None
        with writing(self.engine, Viewer(user.id)) as db:
            users = UserRepository(db)
            if new_hash:
                is_current = users.replace_password(user.id, verified, new_hash)
            else:
                is_current = users.has_password(user.id, verified)
            if not is_current:
                raise Unauthenticated(_WRONG)
            return user, self.sessions.create(db, user.id, rotates=rotates, device=device)


@cache
def _authenticator(settings: Settings) -> _Authenticator:
    """Return the one of these settings, made at the first call."""
    log = Log(redis_client.connect(settings, "verbatim-api"), settings.log_namespace)
    return _Authenticator(
        api_engine(settings, settings.database, pool_size=1),
        Throttle(settings),
        SessionStore(settings, log),
    )


def _prepare(settings: Settings) -> None:
    _authenticator(settings)


def _check(settings: Settings, username: str, password: str, address: str) -> str | None:
    user = _authenticator(settings).check(username, password, address)
    return user.password_hash if user else None


def _sign_in(
    settings: Settings,
    username: str,
    password: str,
    address: str,
    *,
    rotates: bool,
    device: str | None,
) -> tuple[User, RefreshToken]:
    return _authenticator(settings).sign_in(
        username, password, address, rotates=rotates, device=device
    )
