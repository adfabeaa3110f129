"""The audit: check that every entry that was ever accepted is accounted for.

Per partition: accepted = applied + dead + discarded + entries in the log above `last_id`. Both
sides are read under the partition's lock, so that no drain moves entries in between.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from api.core import ids, partition_counts
from api.core.log import Log

#: How long somebody else may hold a partition.
WAIT_SECONDS: Final = 15


@dataclass(frozen=True, slots=True)
class Balance:
    """The counts of one partition, in entries."""

    partition: int
    #: None while the log has no tail for the partition, so that its count is unknown.
    accepted: int | None
    applied: int
    dead: int
    discarded: int
    pending: int

    @property
    def accounted(self) -> int:
        """Entries that were settled (applied, dead, discarded) or are pending."""
        return self.applied + self.dead + self.discarded + self.pending

    @property
    def balanced(self) -> bool:
        """Whether every accepted entry is accounted for, and no other."""
        return (self.accepted or 0) == self.accounted


def audit(log: Log, engine: Engine, wait_seconds: int = WAIT_SECONDS) -> list[Balance]:
    """Return the balance of each of the 16 partitions. Drains and accepts may run meanwhile.

    Raises redis-py's RedisError or SQLAlchemy's SQLAlchemyError if a server does not answer.
    """
    timeouts = partition_counts.timeouts(
        lock_seconds=wait_seconds, statement_seconds=wait_seconds + 5
    )
    return [_balance(log, engine, partition, timeouts) for partition in range(ids.PARTITIONS)]


def _balance(log: Log, engine: Engine, partition: int, timeouts: str) -> Balance:
    with engine.begin() as connection:
        connection.exec_driver_sql(timeouts)
        row = partition_counts.lock(connection, [partition])[partition]
        accepted, pending = log.balance(partition, row.last_id)
    return Balance(partition, accepted, row.applied, row.dead, row.discarded, pending)
