"""Sign-in sessions in PostgreSQL: created and ended within the caller's transaction.

Ending a session also adds it to the revocation list in Redis until its last access token expires,
so that chat requests need no PostgreSQL to check a token.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Self

from sqlmodel import Session, select

from api.accounts.repositories import SessionRepository
from api.core import ids
from api.core.errors import Unauthenticated
from api.core.log import Log
from api.core.models.accounts import SignInSession
from api.core.models.drain import DatabaseIdentity
from api.core.redis_client import unavailable_on_error
from api.core.settings import Settings

#: Sessions of one user; one more ends the session that was renewed longest ago.
MAX_SESSIONS: Final = 50

_NAME_BYTES: Final = 24
_NAME_LENGTH: Final = 32
#: Characters of a refresh token; those that are issued have fewer than 100.
_MAX_LENGTH: Final = 200
_INVALID: Final = "the refresh token is not valid; sign in again"


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What renews a session: `<user>.<name>.<secret>`. Only hashes of name and secret are stored.

    The hash of the name is the session's id, which access tokens have, too. So one who has had an
    access token only cannot make a refresh token of its session, not even one that came before.
    """

    user_id: int
    name: str
    secret: str

    @classmethod
    def create(cls, user_id: int) -> Self:
        """Return the token of a new session."""
        return cls(user_id, secrets.token_urlsafe(_NAME_BYTES), _new_secret())

    @classmethod
    def decode(cls, text: str) -> Self:
        """Parse a client's text. Raises Unauthenticated for anything `encode` did not return."""
        user_id, _, rest = text.partition(".")
        name, _, secret = rest.partition(".")
        if len(text) > _MAX_LENGTH or not text.isascii() or "\0" in text or not secret:
            raise Unauthenticated(_INVALID)
        try:
            return cls(ids.parse_user_id(user_id), name, secret)
        except ValueError as error:
            raise Unauthenticated(_INVALID) from error

    def encode(self) -> str:
        """Return the text that the client keeps."""
        return f"{self.user_id}.{self.name}.{self.secret}"

    def rotated(self) -> Self:
        """Return the next token of the same session."""
        return replace(self, secret=_new_secret())

    @property
    def is_of_its_session(self) -> bool:
        """Whether only a client of the session can know it: not so of those of older versions."""
        return len(self.name) == _NAME_LENGTH

    @property
    def session_id(self) -> str:
        """The session's id; sessions of older versions have it as their name."""
        if not self.is_of_its_session:
            return self.name
        digest = hashlib.sha256(self.name.encode()).digest()
        return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")

    @property
    def secret_hash(self) -> bytes:
        """The hash that PostgreSQL stores: 256 random bits need no slow one."""
        return hashlib.sha256(self.secret.encode()).digest()


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


class SessionStore:
    """Creates, renews and ends sign-in sessions, each within a transaction of the caller's."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._log = log
        self._access_token_seconds = settings.access_token_minutes * 60
        #: A session ends when it was not renewed for this long.
        self.idle = timedelta(days=settings.session_days)

    def create(
        self, db: Session, user_id: int, *, rotates: bool, device: str | None = None
    ) -> RefreshToken:
        """Create a session for a user; return its refresh token. Raises Unavailable as `end`.

        `device` is shown where the user's sessions are listed.
        """
        token = RefreshToken.create(user_id)
        sessions = SessionRepository(db)
        sessions.add(user_id, token.session_id, token.secret_hash, rotates=rotates, device=device)
        if surplus := sessions.surplus(user_id, MAX_SESSIONS, self.idle):
            self.end(db, user_id, surplus)
        return token

    def renew(self, db: Session, old: RefreshToken, new: RefreshToken, *, rotates: bool) -> bool:
        """Renew a session, and replace its token with `new`.

        Return False if `old` is not its token, it was idle too long, or it is of the other kind.
        """
        return SessionRepository(db).renew(
            old.user_id,
            old.session_id,
            old.secret_hash,
            new.secret_hash,
            self.idle,
            rotates=rotates,
        )

    def all(self, db: Session, user_id: int) -> Sequence[SignInSession]:
        """Return a user's sessions that can be renewed, the last renewed one first."""
        return SessionRepository(db).all(user_id, self.idle)

    def end(self, db: Session, user_id: int, session_ids: Sequence[str] | None) -> bool:
        """End these sessions of a user, or all of them for None; return whether there was one.

        Raises Unavailable while Redis does not answer, and so rolls the transaction back.
        """
        ended = SessionRepository(db).end(user_id, session_ids)
        if not ended:
            return False
        if not self._log.database_id:
            self._log.database_id = str(db.exec(select(DatabaseIdentity.id)).one())
        with unavailable_on_error():
            self._log.revoke(user_id, ended, self._access_token_seconds)
        return True
