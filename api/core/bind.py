"""Open the log: bind a Redis to its database, and restore the tails of its partitions."""

import logging

from sqlalchemy import Engine
from sqlmodel import col, select

from api.core import went_back
from api.core.database import reading
from api.core.errors import WrongDatabaseError
from api.core.ids import ALL_PARTITIONS
from api.core.log import Log
from api.core.models.drain import DatabaseIdentity, LogPartition

logger = logging.getLogger(__name__)


def open_log(log: Log, engine: Engine, expected: str | None = None) -> bool:
    """Bind the log to its database, and set the tail of each partition that has none.

    Returns whether PostgreSQL lacks entries that it had; they are to be drained again.
    Does nothing to a log that is open. Raises WrongDatabaseError if the log belongs to another
    database or this database is not the `expected` one (the setting DATABASE_IDENTITY),
    DatabaseWentBackError if it lacks entries that it had and the log has no more, OldLogError if
    there is a log under old names that is not empty, Unavailable if PostgreSQL does not answer,
    redis-py's RedisError if Redis does not.
    """
    # Before PostgreSQL is asked: drains go on meanwhile.
    marks = log.marks(ALL_PARTITIONS)
    with reading(engine) as session:
        identity = str(session.exec(select(DatabaseIdentity.id)).one())
        partitions = session.exec(select(LogPartition).order_by(col(LogPartition.id))).all()
        counted = [(p.id, p.last_id, p.applied + p.dead + p.discarded) for p in partitions]
    if expected and expected != identity:
        raise WrongDatabaseError("DATABASE_IDENTITY is not the identity of this database")
    moved = log.leave_old_names(identity)
    log_went_back = log.adopt(identity, counted)
    if log_went_back:
        # A list of recent turns that exists is taken to be complete; now it may lack some.
        log.forget("turns:*")
    lacks_some = bool(went_back.refuse_lost(log, marks, counted))
    if moved:
        log.acknowledge_going_back()
    elif log_went_back:
        logger.error(
            "the log on Redis began anew or went back in time: what it had accepted and PostgreSQL "
            "did not have is lost; see `verbatim audit`"
        )
    return lacks_some
