"""Sign-in sessions: access tokens, refresh tokens and browser cookies.

Refresh tokens rotate; reuse of an old one indicates theft and ends the session. A browser's session
is a cookie, `<access token>~<refresh token>`, whose access token is renewed as requests come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session

from api.accounts.repositories import UserRepository
from api.accounts.revocations import Revocations
from api.accounts.session_store import RefreshToken, SessionStore
from api.accounts.tokens import Tokens
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.database import Viewer
from api.core.errors import NotFound, Unauthenticated, Unavailable
from api.core.models.accounts import SignInSession

#: A browser's access token is renewed when less than this part of its lifetime is left.
RENEW_BELOW: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """The tokens of one session."""

    access_token: str
    refresh_token: str

    def cookie(self) -> str:
        """Return the value of a browser's session cookie."""
        return f"{self.access_token}~{self.refresh_token}"


class Sessions:
    """Creates, authenticates, renews and ends sessions.

    Methods that write raise Unavailable if PostgreSQL or Redis does not answer; nothing has
    changed then.
    """

    def __init__(
        self,
        tokens: Tokens,
        database: AsyncDatabase,
        store: SessionStore,
        revocations: Revocations,
    ) -> None:
        self._tokens = tokens
        self._database = database
        self._store = store
        self._revocations = revocations

    @property
    def idle_seconds(self) -> int:
        """How long a session lasts without being renewed."""
        return int(self._store.idle.total_seconds())

    def issue(self, refresh_token: RefreshToken) -> SessionTokens:
        """Return the tokens of a session that was just created or renewed."""
        access_token = self._tokens.issue(refresh_token.user_id, refresh_token.session_id)
        return SessionTokens(access_token, refresh_token.encode())

    async def refresh(self, refresh_token: str) -> SessionTokens:
        """Renew a session; its refresh token is replaced by another one.

        Raises Unauthenticated if the token is not valid; if it was once, its session has ended.
        """
        old = RefreshToken.decode(refresh_token)
        new = old.rotated()

        def rotate(db: Session) -> bool:
            if self._store.renew(db, old, new, rotates=True):
                return True
            if old.is_of_its_session:  # it was used before, by its client or by a thief
                self._store.end(db, old.user_id, [old.session_id])
            return False

        if not await self._database.write(Viewer(old.user_id), rotate):
            raise Unauthenticated("the refresh token is not valid; sign in again")
        return self.issue(new)

    async def authenticate_cookie(self, cookie: str) -> tuple[Caller, str | None]:
        """Return the caller of a browser's cookie, and the new cookie if it was renewed.

        Raises Unauthenticated if the session has ended.
        """
        access_token, _, refresh_token = cookie.partition("~")
        try:
            caller: Caller | None = self.authenticate(access_token)
        except Unauthenticated:
            caller = None
        renew_below_seconds = self._tokens.lifetime_seconds * RENEW_BELOW
        if caller and self._tokens.seconds_left(access_token) > renew_below_seconds:
            return caller, None
        try:
            renewed = await self._renew(refresh_token)
        except Unavailable:
            if caller:
                return caller, None
            raise
        return self.authenticate(renewed.access_token), renewed.cookie()

    def authenticate(self, access_token: str) -> Caller:
        """Return the caller of an access token.

        Raises Unauthenticated if it is not valid or has expired, or if its session was ended.
        """
        caller = self._tokens.caller(access_token)
        if self._revocations.includes(caller):
            raise Unauthenticated("this session was ended")
        return caller

    async def until_ended(self, caller: Caller) -> None:
        """Wait until the caller's session has ended, as this process knows a second later."""
        await self._revocations.until_revoked(caller)

    async def end(self, caller: Caller) -> None:
        """End the caller's session, and no other one."""
        await self._database.write(
            Viewer(caller.user_id),
            lambda db: self._store.end(db, caller.user_id, [caller.session_id]),
        )

    async def all(self, caller: Caller) -> Sequence[SignInSession]:
        """Return the sessions of the caller's account, the last renewed one first."""
        return await self._database.read(
            Viewer(caller.user_id), lambda db: self._store.all(db, caller.user_id)
        )

    async def end_one(self, caller: Caller, session_id: str) -> None:
        """End one session of the caller's account. Raises NotFound if it has no such session."""
        if not await self._database.write(
            Viewer(caller.user_id),
            lambda db: self._store.end(db, caller.user_id, [session_id]),
        ):
            raise NotFound("there is no such session")

    async def end_others(self, caller: Caller) -> None:
        """End all sessions of the caller's account but the caller's own."""

        def end(db: Session) -> None:
            others = [one.id for one in self._store.all(db, caller.user_id)]
            self._store.end(db, caller.user_id, [one for one in others if one != caller.session_id])

        await self._database.write(Viewer(caller.user_id), end)

    async def end_by_cookie(self, cookie: str) -> None:
        """End a browser's session, also if its access token has expired."""
        _, _, refresh_token = cookie.partition("~")
        try:
            token = RefreshToken.decode(refresh_token)
        except Unauthenticated:
            return

        def end(db: Session) -> None:
            # Only with the secret: a session's id alone is in access tokens, too.
            if self._store.renew(db, token, token, rotates=False):
                self._store.end(db, token.user_id, [token.session_id])

        await self._database.write(Viewer(token.user_id), end)

    async def change_password(
        self,
        user_id: int,
        old_hash: str,
        new_hash: str,
        *,
        rotates: bool,
        device: str | None = None,
    ) -> SessionTokens:
        """Replace a user's password hash and all of the user's sessions by one new session.

        Raises Unauthenticated if `old_hash` is no longer the user's; nothing has changed then.
        """

        def change(db: Session) -> RefreshToken:
            if not UserRepository(db).replace_password(user_id, old_hash, new_hash):
                raise Unauthenticated("the current password is wrong")
            self._store.end(db, user_id, None)
            return self._store.create(db, user_id, rotates=rotates, device=device)

        return self.issue(await self._database.write(Viewer(user_id), change))

    async def _renew(self, refresh_token: str) -> SessionTokens:
        """Renew a browser's session, whose refresh token stays. Raises Unauthenticated."""
        token = RefreshToken.decode(refresh_token)
        if not await self._database.write(
            Viewer(token.user_id), lambda db: self._store.renew(db, token, token, rotates=False)
        ):
            raise Unauthenticated("the session has ended; sign in again")
        return self.issue(token)
