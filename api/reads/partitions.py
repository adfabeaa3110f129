"""How far the drain has come, by partition."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import text
from sqlmodel import Session, col, select

from api.core import ids
from api.core.models.drain import LogPartition

#: Pgpool-II sends it to no standby.
_PRIMARYS_LAST_IDS: Final = text("/*NO LOAD BALANCE*/ SELECT id, last_id FROM log_partition")


class PartitionRepository:
    """The rows of `log_partition`. They have no owner: no user's data is in them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def last_id(self, partition: int) -> int:
        """Return the id up to which a partition's entries are in PostgreSQL."""
        statement = select(LogPartition.last_id).where(LogPartition.id == partition)
        return self._session.exec(statement).one()

    def last_ids(self) -> Sequence[int]:
        """Return the same of all 16, in order."""
        statement = select(LogPartition.last_id).order_by(col(LogPartition.id))
        return self._session.exec(statement).all()

    def not_reached(self, entry_ids: Collection[int]) -> frozenset[int]:
        """Return those of the ids that the drain has not come to, as the primary says."""
        found = self._session.connection().execute(_PRIMARYS_LAST_IDS)
        last_ids: dict[int, int] = {row.id: row.last_id for row in found}
        return frozenset(one for one in entry_ids if last_ids[ids.partition_of(one)] < one)

    def all(self) -> list[LogPartition]:
        """Return all 16, in order."""
        return list(self._session.exec(select(LogPartition).order_by(col(LogPartition.id))))
