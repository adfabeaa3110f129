"""PostgreSQL: one engine per process, and short transactions on it.

Everything here works through a transaction pooler: no session state, no server-side prepared
statements (psycopg2 makes none). Only migrations (`api.core.migrations`) want the direct
connection.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from api.core import roles
from api.core.errors import Unavailable
from api.core.settings import Settings

#: Serverless PostgreSQL ends idle connections after five minutes.
POOL_RECYCLE_SECONDS: Final = 300
#: A connection that was used this recently is taken to work.
RESTED_SECONDS: Final = 1.0
#: How long a caller waits for one of the pool's connections.
POOL_TIMEOUT_SECONDS: Final = 5
CONNECT_TIMEOUT_SECONDS: Final = 10

#: Notices a peer that vanished: idle ones after a minute, unanswered data after half of one.
_KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

#: What row-level security goes by. `true`: for this transaction alone, since a pooler may give
#: the connection to somebody else afterwards. Sent with the first statement, it costs no round
#: trip of its own.
_TELL: Final = (
    "SELECT set_config('app.user_id', %(verbatim_user)s, true),"
    " set_config('app.sign_in', lower(%(verbatim_name)s), true); "
)


@dataclass(slots=True)
class Viewer:
    """For whom a transaction is: what the API's role may see. Nobody sees nobody's rows."""

    user_id: int | None = None
    #: The name of who signs in or registers, whose id is not known yet.
    signing_in: str = ""
    _told: bool = False

    def tell(self, statement: str, parameters: Any) -> tuple[str, Any]:
        """Put who it is before the transaction's first statement."""
        if self._told:
            return statement, parameters
        self._told = True
        who = "" if self.user_id is None else str(self.user_id)
        told = {"verbatim_user": who, "verbatim_name": self.signing_in}
        return _TELL + statement, {**(parameters or {}), **told}


def make_engine(
    url: URL, *, application_name: str, pool_size: int = 10, role: roles.Role | None = None
) -> Engine:
    """Open the engine of one process: after a fork, named after it, disposed of at its end.

    With `role`, each new connection that is not held to that role's rows raises UnsafeRoleError.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_recycle=POOL_RECYCLE_SECONDS,
        # Parameters are people's words; errors end up in logs.
        hide_parameters=True,
        connect_args={
            "application_name": application_name,
            "client_encoding": "utf8",
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            **_KEEPALIVE,
        },
    )
    event.listen(engine, "before_cursor_execute", _tell_viewer, retval=True)
    _look_after_rest(engine)
    if role is not None:
        event.listen(engine, "connect", roles.guard(role))
    return engine


def api_engine(settings: Settings, *, pool_size: int) -> Engine:
    """Open the engine of one process of the API, held to its users' rows if settings say so."""
    return make_engine(
        settings.database,
        application_name="verbatim-api",
        role="verbatim_api" if settings.row_security == "enforced" else None,
        pool_size=pool_size,
    )


def _look_after_rest(engine: Engine) -> None:
    """Have a connection tried before its use only where it rested: a round trip less each time.

    A broken one makes the pool open all of them anew, as `pool_pre_ping` would.
    """

    @event.listens_for(engine, "checkin")
    def note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def look(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        used = record.info.get("used")
        if used is None or time.monotonic() - used < RESTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg2.Error as error:
            raise InvalidatePoolError from error


def _tell_viewer(
    connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    viewer: Viewer | None = connection.get_execution_options().get("viewer")
    return viewer.tell(statement, parameters) if viewer else (statement, parameters)


@contextmanager
def reading(engine: Engine, viewer: Viewer | None = None) -> Iterator[Session]:
    """Open a session in one READ ONLY transaction; what it loaded stays readable afterwards.

    Raises Unavailable when PostgreSQL cannot be reached, so that no caller takes that for
    an empty answer.
    """
    with _reachable(), Session(engine) as session:
        session.connection(execution_options={"postgresql_readonly": True, "viewer": viewer})
        yield session


@contextmanager
def writing(engine: Engine, viewer: Viewer | None = None) -> Iterator[Session]:
    """Open a session in one transaction and commit it at the end. Raises Unavailable likewise."""
    with _reachable(), Session(engine, expire_on_commit=False) as session, session.begin():
        session.connection(execution_options={"viewer": viewer})
        yield session


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, NoConnectionFree) as error:
        raise Unavailable("the database does not answer") from error
