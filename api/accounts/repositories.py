"""SQL for users and sign-in sessions. Nothing here commits: the caller's transaction does."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Executable,
    Interval,
    SQLColumnExpression,
    Text,
    and_,
    bindparam,
    collate,
    delete,
    or_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, func, select

from api.core.errors import Conflict
from api.core.models.accounts import SignInSession, User


class UserRepository:
    """The users: accounts that can sign in."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def by_id(self, user_id: int) -> User | None:
        """Return a user, or None."""
        return self._db.get(User, user_id)

    def by_name(self, username: str) -> User | None:
        """Return the user of that name, in upper or lower case, or None.

        In the indexes, here and in the policies of row-level security, PostgreSQL lowers ASCII
        letters and no others, whatever its locale. `api.accounts.throttle` folds no less.
        """
        return self._db.scalars(_user_by_name(), {"username": username}).one_or_none()

    def add(self, username: str, email: str, password_hash: str) -> User:
        """Insert a user and return it. Raises Conflict if the name or the address is taken."""
        statement = (
            insert(User)
            .values(username=username, email=email, password_hash=password_hash)
            .on_conflict_do_nothing()
            .returning(User)
        )
        # Twice: the first id may be one that was made by chance in the same millisecond.
        user = self._db.scalar(statement) or self._db.scalar(statement)
        if user is None:
            raise Conflict("the username or the email address is taken")
        return user

    def has_password(self, user_id: int, password_hash: str) -> bool:
        """Return whether this is the user's password hash, which stays so until the commit.

        A password that was verified before this transaction may have been replaced since.
        """
        statement = select(User.id).where(_is(user_id, password_hash)).with_for_update(read=True)
        return self._db.exec(statement).first() is not None

    def expire(self, user_id: int, days: int | None) -> User | None:
        """Say after how many days a user's conversations are deleted; return the user, or None."""
        statement = update(User).where(col(User.id) == user_id).values(expires_in_days=days)
        return self._db.scalar(statement.returning(User))

    def rename(self, user_id: int, password_hash: str, username: str) -> User | None:
        """Give a user another name; return None if the hash is no longer the user's.

        Raises Conflict if the name is taken; the transaction is lost then.
        """
        statement = update(User).where(_is(user_id, password_hash)).values(username=username)
        try:
            return self._db.scalar(statement.returning(User))
        except IntegrityError:
            raise Conflict("the username is taken") from None  # it quotes the name

    def replace_password(self, user_id: int, old_hash: str, new_hash: str) -> bool:
        """Replace a user's password hash; return False if `old_hash` is no longer the user's."""
        statement = update(User).where(_is(user_id, old_hash)).values(password_hash=new_hash)
        return self._db.exec(statement).rowcount == 1


def _is(user_id: int, password_hash: str) -> ColumnElement[bool]:
    return and_(col(User.id) == user_id, col(User.password_hash) == password_hash)


@cache
def _user_by_name() -> Executable:
    """Return the statement, built once."""
    given: BindParameter[str] = bindparam("username", type_=Text)
    return select(User).where(folded(col(User.username)) == folded(given))


def folded(name: SQLColumnExpression[str]) -> ColumnElement[str]:
    """Return the name as it is compared: with ASCII letters in lower case."""
    return func.lower(collate(name, "C"))


class SessionRepository:
    """The sign-in sessions. Of a session's secret only a hash is stored."""

    def __init__(self, db: Session) -> None:
        self._db = db

    def add(
        self,
        user_id: int,
        session_id: str,
        secret_hash: bytes,
        *,
        rotates: bool,
        device: str | None,
    ) -> None:
        """Insert a session."""
        row = {
            "id": session_id,
            "user_id": user_id,
            "secret_hash": secret_hash,
            "rotates": rotates,
            "device": device,
        }
        self._db.connection().execute(insert(SignInSession), row)

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
        """Renew a session and replace the hash of its secret.

        Return False if there is no session with these values that was renewed less than `idle` ago.
        """
        renewed = self._db.exec(
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

    def all(self, user_id: int, idle: timedelta) -> Sequence[SignInSession]:
        """Return a user's sessions that were renewed less than `idle` ago, the last one first."""
        renewed_at = col(SignInSession.renewed_at)
        statement = select(SignInSession).where(
            col(SignInSession.user_id) == user_id, renewed_at > func.now() - idle
        )
        return self._db.exec(statement.order_by(renewed_at.desc())).all()

    def end(self, user_id: int, session_ids: Sequence[str] | None = None) -> list[str]:
        """Delete these sessions of a user, or all; return the ids of those that existed."""
        ended = delete(SignInSession).where(col(SignInSession.user_id) == user_id)
        if session_ids is not None:
            ended = ended.where(col(SignInSession.id).in_(session_ids))
        return list(self._db.scalars(ended.returning(col(SignInSession.id))))

    def surplus(self, user_id: int, keep: int, idle: timedelta) -> list[str]:
        """Return the ids of a user's sessions to end.

        Those are all but the `keep` that were renewed last, and those not renewed for `idle`.
        """
        wanted = {"owner": user_id, "keep": keep, "idle": idle}
        return list(self._db.connection().scalars(_surplus(), wanted))


@cache
def _surplus() -> Executable:
    """Return the statement, built once."""
    mine = col(SignInSession.user_id) == bindparam("owner", type_=BigInteger)
    renewed_at = col(SignInSession.renewed_at)
    place = func.row_number().over(order_by=renewed_at.desc())
    rows: Any = select(SignInSession.id, renewed_at.label("renewed_at"), place.label("place"))
    newest = rows.where(mine).subquery()
    return select(newest.c.id).where(
        or_(
            newest.c.place > bindparam("keep", type_=BigInteger),
            newest.c.renewed_at < func.now() - bindparam("idle", type_=Interval),
        )
    )
