"""SQL for API keys and the subjects that they act for. The caller's transaction commits."""

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from api.accounts.repositories import folded
from api.core.models.accounts import ApiKey, User


class ApiKeyRepository:
    """The API keys of one account. Of a key's secret only a hash is stored."""

    def __init__(self, db: Session, owner: int) -> None:
        self._db = db
        self._owner = owner

    def lock(self, *, alone: bool) -> bool:
        """Keep others from ending the account's keys meanwhile; `alone`: also from making any.

        Return False if there is no such account.
        """
        account = select(User.id).where(col(User.id) == self._owner)
        locked = account.with_for_update(read=not alone, key_share=alone)
        return self._db.exec(locked).first() is not None

    def add(self, key: ApiKey) -> None:
        """Insert a key; its time is set."""
        self._db.add(key)
        self._db.flush()
        self._db.refresh(key)

    def get(self, key_id: str) -> ApiKey | None:
        """Return a key, or None."""
        return self._db.exec(self._mine().where(col(ApiKey.id) == key_id)).one_or_none()

    def all(self) -> list[ApiKey]:
        """Return the account's keys, oldest first."""
        return list(self._db.exec(self._mine().order_by(col(ApiKey.created_at), col(ApiKey.id))))

    def end(self, key_id: str | None) -> list[str]:
        """Delete a key of the account, or all for None; return the ids of those that existed."""
        ended = delete(ApiKey).where(col(ApiKey.user_id) == self._owner)
        if key_id is not None:
            ended = ended.where(col(ApiKey.id) == key_id)
        return list(self._db.scalars(ended.returning(col(ApiKey.id))))

    def _mine(self) -> SelectOfScalar[ApiKey]:
        return select(ApiKey).where(col(ApiKey.user_id) == self._owner)


class SubjectRepository:
    """Users that cannot sign in here: those of one account's keys, or of the identity provider."""

    def __init__(self, db: Session, owner: int | None) -> None:
        self._db = db
        self._is_mine = col(User.owner_id).is_not_distinct_from(owner)
        self._owner = owner

    def find(self, name: str) -> int | None:
        """Return the id of a subject's user, or None."""
        named = folded(col(User.username)) == name
        return self._db.exec(select(User.id).where(named, self._is_mine)).one_or_none()

    def add(self, name: str, email: str) -> int | None:
        """Insert a subject's user and return its id; None if the name or the address is taken."""
        row = {"username": name, "email": email, "password_hash": "", "owner_id": self._owner}
        made = insert(User).values(**row).on_conflict_do_nothing().returning(col(User.id))
        # Twice: the first id may be one that was made by chance in the same millisecond.
        return self._db.scalar(made) or self._db.scalar(made)

    def count(self) -> int:
        """Return how many there are."""
        return self._db.exec(select(func.count()).select_from(User).where(self._is_mine)).one()

    def some(self, limit: int) -> list[int]:
        """Return the ids of some of them."""
        return list(self._db.exec(select(User.id).where(self._is_mine).limit(limit)))
