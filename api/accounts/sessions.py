"""Who is signed in: sessions that are opened by a password and renewed by a secret.

A client renews its session with a refresh token, whose secret changes each time: one that comes
twice was stolen, or its thief's was, so it ends the session. A browser's session lives in a cookie,
beside an access token that is renewed as requests come.
"""

from dataclasses import dataclass, replace
from typing import Final

from sqlmodel import Session

from api.accounts.repositories import SessionRepository, UserRepository
from api.accounts.session_store import Opened, SessionRows, hashed, new_secret
from api.accounts.tokens import Tokens
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.entries import Caller
from api.core.errors import Unauthenticated, Unavailable
from api.core.settings import Settings
from api.writes.write_path import WritePath

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
        self, settings: Settings, tokens: Tokens, database: AsyncDatabase, write_path: WritePath
    ) -> None:
        self._tokens = tokens
        self._database = database
        self._write_path = write_path
        self._rows = SessionRows(settings, write_path.log)

    @property
    def seconds(self) -> int:
        """How long a session lasts that is not renewed."""
        return int(self._rows.idle.total_seconds())

    async def open(self, user_id: int) -> Granted:
        """Open a session for somebody who has just proved who they are."""
        return self.grant(
            await self._database.write(
                Viewer(user_id), lambda session: self._rows.open(session, user_id, rotates=True)
            )
        )

    def grant(self, opened: Opened) -> Granted:
        """Return what goes with a session that was opened or renewed."""
        token = self._tokens.issue(opened.user_id, opened.session_id)
        return Granted(token, f"{int(opened.user_id)}.{opened.session_id}.{opened.secret}")

    async def refresh(self, refresh_token: str) -> Granted:
        """Renew a session and change its secret. Raises Unauthenticated."""
        known = _parts(refresh_token)
        renewed = replace(known, secret=new_secret())

        def rotate(session: Session) -> bool:
            if self._renew(session, known, renewed, rotates=True):
                return True
            self._rows.end(session, known.user_id, [known.session_id])
            return False

        if not await self._database.write(Viewer(known.user_id), rotate):
            raise Unauthenticated("the refresh token is not valid; sign in again")
        return self.grant(renewed)

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
        await self._database.write(
            Viewer(int(caller)), lambda session: self._rows.end(session, caller, [caller.session])
        )

    async def end_renewal(self, cookie: str) -> None:
        """Sign a browser out, whose access token may be over already."""
        _, _, renewal = cookie.partition("~")
        try:
            known = _parts(renewal)
        except Unauthenticated:
            return

        def end(session: Session) -> None:
            if self._renew(session, known, known, rotates=False):
                self._rows.end(session, known.user_id, [known.session_id])

        await self._database.write(Viewer(known.user_id), end)

    async def change_password(self, user_id: int, password_hash: str) -> None:
        """Replace the password and end every session."""

        def change(session: Session) -> None:
            UserRepository(session).set_password(user_id, password_hash)
            self._rows.end(session, user_id, None)

        await self._database.write(Viewer(user_id), change)

    async def _renewed(self, renewal: str) -> Granted:
        known = _parts(renewal)
        if not await self._database.write(
            Viewer(known.user_id), lambda session: self._renew(session, known, known, rotates=False)
        ):
            raise Unauthenticated("the session has ended; sign in again")
        return self.grant(known)

    def _renew(self, session: Session, known: Opened, new: Opened, *, rotates: bool) -> bool:
        return SessionRepository(session).renew(
            known.user_id,
            known.session_id,
            hashed(known.secret),
            hashed(new.secret),
            self._rows.idle,
            rotates=rotates,
        )

    @property
    def _renew_below_seconds(self) -> float:
        return self._tokens.lifetime_seconds * RENEW_BELOW


def cookie_of(granted: Granted) -> str:
    """Return what a browser keeps of a session."""
    return f"{granted.access_token}~{granted.renewal}"


def _parts(renewal: str) -> Opened:
    user_id, _, rest = renewal.partition(".")
    session_id, _, secret = rest.partition(".")
    is_ours = len(renewal) <= _LONGEST and renewal.isascii() and user_id.isdecimal() and secret
    if not is_ours or "\0" in renewal or not 0 < int(user_id) < 2**63:
        raise Unauthenticated("the refresh token is not valid; sign in again")
    return Opened(int(user_id), session_id, secret)
