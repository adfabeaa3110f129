"""Reads of one statement and one row: one message to PostgreSQL, without BEGIN and COMMIT.

Statements that come in one message are one transaction to PostgreSQL, so what the first one sets
for row-level security holds for the second one, and for no longer, whatever pooler is between. What
SQLAlchemy does for a statement takes longer than such a read, so psycopg2 is asked itself, and what
PostgreSQL does before it executes one is done once for a connection (`prepared_statements`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from psycopg2.extensions import BYTES, register_type
from sqlalchemy import Engine
from sqlmodel import Session

from api.core.database import reachable
from api.core.prepared_statements import PreparedStatements, Statement

#: What a read has found: a row, its texts as bytes of UTF-8.
Row = tuple[Any, ...]

#: Where a connection of a pool has its prepared statements.
_PREPARED: Final = "prepared_statements"
#: `true`: for this transaction only, since a pooler may give the connection to another client.
_SET: Final = (
    "SELECT set_config('transaction_read_only', 'on', true),"
    " set_config('app.user_id', %(verbatim_user)s, true); "
)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and its parameters."""

    statement: Statement
    parameters: Mapping[str, Any]


def ask(engine: Engine, user_id: int, query: Query) -> Row | None:
    """Return the first row of a query that is for one user; None for no row.

    Raises Unavailable if PostgreSQL does not answer or no connection of the pool is free.
    """
    with reachable():
        pooled = engine.raw_connection()
        connection: Any = pooled.dbapi_connection
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                register_type(BYTES, cursor)
                prepared = pooled.info.setdefault(_PREPARED, PreparedStatements())
                parameters = {**query.parameters, "verbatim_user": str(user_id)}
                prepared.execute(cursor, _SET, query.statement, parameters)
                row: Row | None = cursor.fetchone()
            connection.autocommit = False
        except BaseException as error:
            if connection.closed:
                # As SQLAlchemy does: what cut one connection has cut all of them.
                engine.dispose()
            pooled.invalidate(error)
            raise
        pooled.close()
        return row


def run(session: Session, query: Query) -> Row | None:
    """Return the same in a session's transaction."""
    parameters = {**query.statement.constants, **query.parameters}
    found = session.connection().exec_driver_sql(query.statement.text, parameters).first()
    if found is None:
        return None
    return tuple(one.encode() if isinstance(one, str) else one for one in found)
