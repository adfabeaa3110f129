"""Sessions in PostgreSQL: opened and ended within somebody's transaction.

Ending one also names it on Redis, for as long as an access token of it may live: what chats need
not ask PostgreSQL whether a token is still good.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from redis.exceptions import RedisError
from sqlmodel import Session

from api.accounts.repositories import SessionRepository
from api.core.errors import Unavailable
from api.core.log import Log
from api.core.settings import Settings

#: A user's sessions; signing in once more ends the one that was renewed longest ago.
MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, and the secret that renews it."""

    user_id: int
    session_id: str
    secret: str


def hashed(secret: str) -> bytes:
    """Return what PostgreSQL knows of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def new_secret() -> str:
    """Return what nobody guesses."""
    return secrets.token_urlsafe(32)


class SessionRows:
    """Opens sessions and ends them, each in a transaction of the caller's."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._log = log
        self._access_token_seconds = settings.access_token_minutes * 60
        #: How long a session lasts that is not renewed.
        self.idle = timedelta(days=settings.session_days)

    def open(self, session: Session, user_id: int, *, rotates: bool) -> Opened:
        """Open a session for somebody who has just proved who they are. Raises as `end` does."""
        opened = Opened(user_id, secrets.token_urlsafe(16), new_secret())
        rows = SessionRepository(session)
        rows.add(user_id, opened.session_id, hashed(opened.secret), rotates=rotates)
        if surplus := rows.surplus(user_id, MOST, self.idle):
            self.end(session, user_id, surplus)
        return opened

    def end(self, session: Session, user_id: int, session_ids: Sequence[str] | None) -> None:
        """End these sessions of a user, or all.

        Raises Unavailable, and so ends the transaction: with Redis down nothing is ended.
        """
        ended = SessionRepository(session).end(user_id, session_ids)
        if not ended:
            return
        try:
            self._log.revoke(user_id, ended, self._access_token_seconds)
        except RedisError as error:
            raise Unavailable("the log does not answer") from error
