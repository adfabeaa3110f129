"""Who is signed in: sessions that are opened by a password and renewed by a secret.

A client renews its session with a refresh token, whose secret changes each time: one that comes
twice was stolen, or its thief's was, so it ends the session. A browser's session lives in a cookie,
beside an access token that is renewed as requests come.

Ending a session removes its row, and names it on Redis for as long as an access token of it may
live: what chats need not ask PostgreSQL whether a token is still good.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from redis.exceptions import RedisError
from sqlmodel import Session

from api.core.entries import Caller
from api.core.errors import Unauthenticated, Unavailable
from api.core.settings import Settings
from api.reads import Reads
from api.repositories import SessionRepository, UserRepository
from api.security import Tokens
from api.write_path import WritePath

T = TypeVar("T")

#: A user's sessions; signing in once more ends the one that was renewed longest ago.
MOST: Final = 50
#: A browser's access token is renewed once it has less than this part of its life left.
RENEW_BELOW: Final = 1 / 3

_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Granted:
    """A session, and what goes with it."""

    access_token: str
    #: What renews it: `<user>.<session>.<secret>`.
    renewal: str


class Sessions:
    """Opens, renews and ends sessions."""

    def __init__(
        self, settings: Settings, tokens: Tokens, reads: Reads, write_path: WritePath
    ) -> None:
        self._tokens = tokens
        self._reads = reads
        self._write_path = write_path
        self._idle = timedelta(days=settings.session_days)

    @property
    def seconds(self) -> int:
        """How long a session lasts that is not renewed."""
        return int(self._idle.total_seconds())

    async def open(self, user_id: int, *, rotates: bool = True) -> Granted:
        """Open a session for somebody who has just proved who they are."""
        session_id, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(32)

        def add(session: Session) -> None:
            sessions = SessionRepository(session)
            sessions.add(user_id, session_id, _hashed(secret), rotates=rotates)
            self._end(sessions, user_id, sessions.surplus(user_id, MOST, self._idle))

        await self._write(user_id, add)
        return self._granted(user_id, session_id, secret)

    async def refresh(self, refresh_token: str) -> Granted:
        """Renew a session and change its secret. Raises Unauthenticated."""
        user_id, session_id, secret = _parts(refresh_token)
        new_secret = secrets.token_urlsafe(32)

        def rotate(session: Session) -> bool:
            sessions = SessionRepository(session)
            known, new = _hashed(secret), _hashed(new_secret)
            if sessions.renew(user_id, session_id, known, new, self._idle, rotates=True):
                return True
            self._end(sessions, user_id, [session_id])
            return False

        if not await self._write(user_id, rotate):
            raise Unauthenticated("the refresh token is not valid; sign in again")
        return self._granted(user_id, session_id, new_secret)

    async def of_cookie(self, cookie: str) -> tuple[Caller, str | None]:
        """Return whose a browser's session is, and its new cookie if it was renewed."""
        token, _, renewal = cookie.partition("~")
        try:
            caller: Caller | None = self.of_token(token)
        except Unauthenticated:
            caller = None
        if caller and self._tokens.seconds_left(token) > self._renew_below_seconds:
            return caller, None
        try:
            granted = await self._renewed(renewal)
        except Unavailable:
            if caller:
                return caller, None
            raise
        return self.of_token(granted.access_token), cookie_of(granted)

    def of_token(self, token: str) -> Caller:
        """Return whose an access token is. Raises Unauthenticated, also if its session ended."""
        caller = self._tokens.caller(token)
        if f"{int(caller)}:{caller.session}" in self._write_path.revoked:
            raise Unauthenticated("this session was ended")
        return caller

    async def end(self, caller: Caller) -> None:
        """Sign out. Raises Unavailable, and then nothing has changed."""
        await self._write(
            caller, lambda session: self._end(SessionRepository(session), caller, [caller.session])
        )

    async def end_renewal(self, cookie: str) -> None:
        """Sign a browser out, whose access token may be over already."""
        _, _, renewal = cookie.partition("~")
        try:
            user_id, session_id, secret = _parts(renewal)
        except Unauthenticated:
            return

        hashed = _hashed(secret)

        def end(session: Session) -> None:
            sessions = SessionRepository(session)
            is_its = sessions.renew(user_id, session_id, hashed, hashed, self._idle, rotates=False)
            if is_its:
                self._end(sessions, user_id, [session_id])

        await self._write(user_id, end)

    async def change_password(self, user_id: int, password_hash: str) -> None:
        """Replace the password and end every session."""

        def change(session: Session) -> None:
            UserRepository(session).set_password(user_id, password_hash)
            self._end(SessionRepository(session), user_id, None)

        await self._write(user_id, change)

    async def _renewed(self, renewal: str) -> Granted:
        user_id, session_id, secret = _parts(renewal)
        hashed = _hashed(secret)

        def renew(session: Session) -> bool:
            return SessionRepository(session).renew(
                user_id, session_id, hashed, hashed, self._idle, rotates=False
            )

        if not await self._write(user_id, renew):
            raise Unauthenticated("the session has ended; sign in again")
        return self._granted(user_id, session_id, secret)

    def _granted(self, user_id: int, session_id: str, secret: str) -> Granted:
        token = self._tokens.issue(user_id, session_id)
        return Granted(token, f"{int(user_id)}.{session_id}.{secret}")

    @property
    def _renew_below_seconds(self) -> float:
        return self._tokens.lifetime_seconds * RENEW_BELOW

    def _end(
        self, sessions: SessionRepository, user_id: int, session_ids: Sequence[str] | None
    ) -> None:
        """End sessions, on Redis too, inside the transaction: with Redis down nothing is ended."""
        ended = sessions.end(user_id, session_ids)
        if ended:
            self._write_path.log.revoke(user_id, ended, self._tokens.lifetime_seconds)

    async def _write(self, user_id: int, work: Callable[[Session], T]) -> T:
        try:
            return await self._reads.write(user_id, work)
        except RedisError as error:
            raise Unavailable("the log does not answer") from error


def cookie_of(granted: Granted) -> str:
    """Return what a browser keeps of a session."""
    return f"{granted.access_token}~{granted.renewal}"


def _parts(renewal: str) -> tuple[int, str, str]:
    user_id, _, rest = renewal.partition(".")
    session_id, _, secret = rest.partition(".")
    is_ours = len(renewal) <= _LONGEST and renewal.isascii() and user_id.isdecimal() and secret
    if not is_ours or "\0" in renewal or not 0 < int(user_id) < 2**63:
        raise Unauthenticated("the refresh token is not valid; sign in again")
    return int(user_id), session_id, secret


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
