"""Opening the log: what a process must see before it trusts this Redis with this database."""

from sqlalchemy import Engine
from sqlmodel import col, select

from api.core.database import reading
from api.core.log import Log
from api.core.models import DatabaseIdentity, LogPartition


def open_log(log: Log, engine: Engine) -> None:
    """Bind the log to its database and give partitions without a trustworthy tail one.

    Does nothing to a log that is open. Raises WrongDatabaseError if the log belongs to another
    database, Unavailable if PostgreSQL is out of reach, redis-py's RedisError if Redis is.
    """
    with reading(engine) as session:
        identity = session.exec(select(DatabaseIdentity.id)).one()
        partitions = session.exec(select(LogPartition).order_by(col(LogPartition.id))).all()
        counted = [(p.id, p.last_id, p.applied + p.dead + p.discarded) for p in partitions]
    log.adopt(str(identity), counted)
