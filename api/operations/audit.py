"""The audit: whether everything that was ever accepted is accounted for.

Per partition: accepted = applied + dead + discarded + entries in the log above `last_id`. It is
read under the partition's lock: no drain moves entries from one side to the other meanwhile.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, text

from api.core import ids
from api.core.log import Log

#: A drain holds its partitions for one batch.
_LOCK: Final = text(
    "SELECT last_id, applied, dead, discarded FROM log_partition WHERE id = :id FOR UPDATE"
)
_PATIENCE: Final = text("SET LOCAL lock_timeout = '15s'; SET LOCAL statement_timeout = '20s'")


@dataclass(frozen=True, slots=True)
class Balance:
    """The books of one partition."""

    partition: int
    #: None while the log is closed: it knows of nothing that was accepted.
    accepted: int | None
    applied: int
    dead: int
    discarded: int
    pending: int

    @property
    def accounted(self) -> int:
        """Entries whose fate is known, and those that wait for it."""
        return self.applied + self.dead + self.discarded + self.pending

    @property
    def balanced(self) -> bool:
        """Tell whether nothing was dropped."""
        return (self.accepted or 0) == self.accounted


def audit(log: Log, engine: Engine) -> list[Balance]:
    """Weigh all partitions, one after the other. Drains and accepts go on."""
    return [_weigh(log, engine, partition) for partition in range(ids.PARTITIONS)]


def _weigh(log: Log, engine: Engine, partition: int) -> Balance:
    with engine.begin() as connection:
        connection.execute(_PATIENCE)
        row = connection.execute(_LOCK, {"id": partition}).one()
        accepted, pending = log.balance(partition, row.last_id)
    return Balance(partition, accepted, row.applied, row.dead, row.discarded, pending)
