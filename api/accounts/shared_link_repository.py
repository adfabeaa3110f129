"""SQL for shared links: their owner's, and the one that somebody has. The caller commits."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, true
from sqlalchemy.orm import defer
from sqlmodel import Session, col, func, select

from api.core.models.shared_links import SharedLink

#: Up to a megabyte each.
_MESSAGES: Final[Any] = SharedLink.messages


class SharedLinkRepository:
    """The shared links of one account. What they show is read by `shown` only."""

    def __init__(self, db: Session, owner: int) -> None:
        self._db = db
        self._owner = owner

    def add(self, link: SharedLink, days: int) -> None:
        """Insert a link that is good for some days, by PostgreSQL's clock; its times are set."""
        now: datetime = self._db.exec(select(func.now())).one()
        link.created_at, link.expires_at = now, now + timedelta(days=days)
        self._db.add(link)
        self._db.flush()

    def all(self) -> list[SharedLink]:
        """Return the links that show something, the latest first."""
        statement = (
            select(SharedLink)
            .where(SharedLink.user_id == self._owner, col(SharedLink.expires_at) > func.now())
            .order_by(col(SharedLink.created_at).desc(), col(SharedLink.id))
            .options(defer(_MESSAGES))
        )
        return list(self._db.exec(statement))

    def count(self) -> int:
        """Return how many show something, after removing those that do not any more."""
        mine = col(SharedLink.user_id) == self._owner
        self._db.exec(delete(SharedLink).where(mine, col(SharedLink.expires_at) <= func.now()))
        return self._db.exec(select(func.count()).select_from(SharedLink).where(mine)).one()

    def end(self, link_id: str) -> bool:
        """Delete a link with what it shows; return whether there was one."""
        ended = delete(SharedLink).where(
            col(SharedLink.user_id) == self._owner, col(SharedLink.id) == link_id
        )
        return self._db.scalar(ended.returning(col(SharedLink.id))) is not None


def shown(db: Session, secret_hash: bytes, reader: int | None) -> SharedLink | None:
    """Return what a link shows to a user, or to somebody who is not signed in, if anything."""
    is_for_reader = col(SharedLink.audience) == "public" if reader is None else true()
    statement = select(SharedLink).where(
        SharedLink.secret_hash == secret_hash,
        col(SharedLink.expires_at) > func.now(),
        is_for_reader,
    )
    return db.exec(statement).one_or_none()
