"""PostgreSQL may go back: a standby that lagged becomes the primary, or a copy is restored.

The log remembers up to which id PostgreSQL has had each partition, and keeps what was committed for
`LOG_KEEP_SECONDS`. What PostgreSQL lacks by less than that is drained again: the same entries in
the same order, so with the same ids and positions. Nothing is drained into one that lacks more, so
that the right one can still be put back.
"""

import logging
from collections.abc import Collection

from sqlalchemy import Engine

from api.core import partition_counts
from api.core.errors import DatabaseWentBackError
from api.core.ids import ALL_PARTITIONS
from api.core.log import Log
from api.core.log_books import Marks

logger = logging.getLogger(__name__)

_TIMEOUTS = partition_counts.timeouts(lock_seconds=15, statement_seconds=20)


def take_again(log: Log, behind: Collection[tuple[int, int, int]]) -> None:
    """Have what these partitions lack drained again; the caller holds their locks.

    A partition is (number, last_id, applied + dead + discarded). Raises DatabaseWentBackError if
    some of it is in the log no more.
    """
    if not behind:
        return
    again, lost = log.take_again(behind)
    if again:
        logger.error("PostgreSQL went back: %d entries that it had are drained again", again)
    if lost:
        raise error(lost)


def refuse_lost(
    log: Log, marks: Marks, stored: Collection[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Return the partitions, as in `take_again`, whose entries PostgreSQL had and has no more.

    `marks` were read before `stored`. Raises DatabaseWentBackError if the log lacks some of them.
    """
    behind = [one for one in stored if marks.committed[one[0]] > one[1]]
    lost = 0
    for partition, last_id, counted in behind:
        accepted, above = log.balance(partition, last_id)
        lost += max((accepted or 0) - counted - above, 0)
    if lost:
        raise error(lost)
    return behind


def mend(log: Log, engine: Engine) -> None:
    """Have all that PostgreSQL lacks drained again. Waits for drains, for a batch each.

    Raises DatabaseWentBackError if some of it is in the log no more.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(_TIMEOUTS)
        locked = partition_counts.lock(connection, ALL_PARTITIONS)
        committed = log.marks(ALL_PARTITIONS).committed
        behind = [(p, one.last_id, one.counted) for p, one in locked.items()]
        take_again(log, [one for one in behind if committed[one[0]] > one[1]])


def error(lost: int) -> DatabaseWentBackError:
    """Return the error that tells how many entries are lost."""
    return DatabaseWentBackError(
        f"PostgreSQL went back in time: {lost} entries that it had, and that were answered, are "
        "neither in it nor in the log any more; let DATABASE_URL lead to the database that has "
        "them, or run `verbatim restored` to go on without them"
    )
