"""Users and their sign-in sessions in PostgreSQL: what is read, and what is written.

Nothing here commits: the caller's transaction does.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Executable,
    Interval,
    bindparam,
    delete,
    or_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, func, select

from api.core.errors import Conflict
from api.core.models import SignInSession, User


class UserRepository:
    """Who can sign in."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def by_id(self, user_id: int) -> User | None:
        """Return a user."""
        return self._session.get(User, user_id)

    def by_name(self, username: str) -> User | None:
        """Return the user of that name, in upper or lower case.

        Lower case as `api.accounts.throttle` has it: PostgreSQL takes `İ` for an `i`, Python does
        not, and each spelling that leads to an account would have guesses of its own.
        """
        return self._session.scalars(_user_by_name(), {"username": username.lower()}).one_or_none()

    def add(self, username: str, email: str, password_hash: str) -> User:
        """Register a user. Raises Conflict when the name or the address is taken."""
        statement = (
            insert(User)
            .values(username=username, email=email, password_hash=password_hash)
            .on_conflict_do_nothing()
            .returning(User)
        )
        user = self._session.scalar(statement)
        if user is None:
            raise Conflict("the username or the email address is taken")
        return user

    def set_password(self, user_id: int, password_hash: str) -> None:
        """Replace a user's password."""
        self._session.exec(
            update(User).where(col(User.id) == user_id).values(password_hash=password_hash)
        )


@cache
def _user_by_name() -> Executable:
    """Return the statement, made once."""
    return select(User).where(func.lower(User.username) == bindparam("username"))


class SessionRepository:
    """Who is signed in. A session's secret is known here by its hash only."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, user_id: int, session_id: str, secret_hash: bytes, *, rotates: bool) -> None:
        """Open a session."""
        row = {
            "id": session_id,
            "user_id": user_id,
            "secret_hash": secret_hash,
            "rotates": rotates,
        }
        self._session.connection().execute(insert(SignInSession), row)

    def renew(
        self,
        user_id: int,
        session_id: str,
        secret_hash: bytes,
        new_hash: bytes,
        idle: timedelta,
        *,
        rotates: bool,
    ) -> bool:
        """Renew a session that was not idle for so long; tell whether this is its secret."""
        renewed = self._session.exec(
            update(SignInSession)
            .where(
                col(SignInSession.user_id) == user_id,
                col(SignInSession.id) == session_id,
                col(SignInSession.secret_hash) == secret_hash,
                col(SignInSession.rotates) == rotates,
                col(SignInSession.renewed_at) > func.now() - idle,
            )
            .values(secret_hash=new_hash, renewed_at=func.now())
        )
        return renewed.rowcount == 1

    def end(self, user_id: int, session_ids: Sequence[str] | None = None) -> list[str]:
        """End these sessions of a user, or all; return those that there were."""
        ended = delete(SignInSession).where(col(SignInSession.user_id) == user_id)
        if session_ids is not None:
            ended = ended.where(col(SignInSession.id).in_(session_ids))
        return list(self._session.scalars(ended.returning(col(SignInSession.id))))

    def surplus(self, user_id: int, most: int, idle: timedelta) -> list[str]:
        """Return a user's sessions beyond the newest so many, and those idle for too long."""
        wanted = {"owner": user_id, "most": most, "idle": idle}
        return list(self._session.connection().scalars(_surplus(), wanted))


@cache
def _surplus() -> Executable:
    """Return the statement, made once."""
    mine = col(SignInSession.user_id) == bindparam("owner", type_=BigInteger)
    renewed_at = col(SignInSession.renewed_at)
    place = func.row_number().over(order_by=renewed_at.desc())
    rows: Any = select(SignInSession.id, renewed_at.label("renewed_at"), place.label("place"))
    newest = rows.where(mine).subquery()
    return select(newest.c.id).where(
        or_(
            newest.c.place > bindparam("most", type_=BigInteger),
            newest.c.renewed_at < func.now() - bindparam("idle", type_=Interval),
        )
    )
