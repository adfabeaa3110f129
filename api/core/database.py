"""PostgreSQL: one engine per process, and short transactions on it.

All of it works through a transaction pooler: no session state, and statements are prepared only
where none is (`api.core.prepared_statements`). Only migrations (`api.core.migrations`) need a
direct connection.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from api.core import roles
from api.core.errors import OldPostgresError, Unavailable
from api.core.failures import is_read_only, sqlstate_of
from api.core.settings import Settings

#: The oldest major version that all tests pass on (`make test-postgres`), and that is maintained.
OLDEST_POSTGRES: Final = 14
#: Serverless PostgreSQL ends idle connections after five minutes.
POOL_RECYCLE_SECONDS: Final = 300
#: A connection that was idle for longer is pinged before its use.
PING_AFTER_SECONDS: Final = 1.0
#: How long a caller waits for one of the pool's connections.
POOL_TIMEOUT_SECONDS: Final = 5
CONNECT_TIMEOUT_SECONDS: Final = 10

#: Detects a dead peer: after a minute when idle, after half a minute while data is unacknowledged.
_KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

#: A limit of the operator for idle or long transactions; for psycopg2 no OperationalError.
_TIMED_OUT: Final = frozenset({"25P03", "25P04"})
#: As SQLAlchemy raises them, and as psycopg2 does.
_UNREACHABLE: Final = (
    *(OperationalError, InterfaceError, NoConnectionFree),
    *(psycopg2.OperationalError, psycopg2.InterfaceError),
)
#: Sets what the row security policies read. `true`: for this transaction only, since a pooler may
#: give the connection to another client afterwards. It is sent with the first statement, and so
#: costs no round trip.
_SET_VIEWER: Final = (
    "SELECT set_config('app.user_id', %(verbatim_user)s, true),"
    " set_config('app.sign_in', lower(%(verbatim_name)s COLLATE \"C\"), true),"
    " set_config('app.link', %(verbatim_link)s, true); "
)


@dataclass(slots=True)
class Viewer:
    """The user that one transaction is for: the API's role sees the rows of this user only.

    Without a user and a name it sees no rows of users. An object serves one transaction.
    """

    user_id: int | None = None
    #: The name of a user who signs in or registers, whose id is not known yet.
    signing_in: str = ""
    #: The hash of a shared link's secret, in hexadecimal: of others' rows that link's is seen.
    link: str = ""
    _is_set: bool = False

    def prepend(self, statement: str, parameters: Any) -> tuple[str, Any]:
        """Return a statement and its parameters; the first one with the settings before it."""
        if self._is_set:
            return statement, parameters
        self._is_set = True
        user_id = "" if self.user_id is None else str(self.user_id)
        settings = {
            "verbatim_user": user_id,
            "verbatim_name": self.signing_in,
            "verbatim_link": self.link,
        }
        return _SET_VIEWER + statement, {**(parameters or {}), **settings}


def make_engine(
    url: URL, *, application_name: str, pool_size: int = 10, role: roles.Role | None = None
) -> Engine:
    """Return an engine for one process: made after its fork, disposed of at its end.

    `application_name` is what PostgreSQL shows for its connections. Each new one raises
    OldPostgresError on a server before OLDEST_POSTGRES, and with `role` UnsafeRoleError unless
    row-level security restricts it to that role's rows.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_recycle=POOL_RECYCLE_SECONDS,
        # Parameters contain text of users; errors end up in logs.
        hide_parameters=True,
        connect_args={
            "application_name": application_name,
            "client_encoding": "utf8",
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            **_KEEPALIVE,
        },
    )
    event.listen(engine, "before_cursor_execute", _prepend_viewer, retval=True)
    event.listen(engine, "handle_error", _leave_read_only)
    _ping_after_idling(engine)
    event.listen(engine, "connect", _refuse_old)
    if role is not None:
        event.listen(engine, "connect", roles.guard(role))
    return engine


def api_engine(settings: Settings, url: URL, *, pool_size: int) -> Engine:
    """Return an engine of one API process; restricted to users' rows unless settings allow all."""
    return make_engine(
        url,
        application_name="verbatim-api",
        role="verbatim_api" if settings.row_security == "enforced" else None,
        pool_size=pool_size,
    )


def _refuse_old(connection: Any, _record: object) -> None:
    # As the server told when the connection began, so nothing is asked; 0: it told no number.
    version = connection.server_version // 10_000
    if 0 < version < OLDEST_POSTGRES:
        raise OldPostgresError(
            f"the database is on PostgreSQL {version}, and {OLDEST_POSTGRES} is the oldest that "
            "Verbatim works with: move it to a newer one"
        )


def _ping_after_idling(engine: Engine) -> None:
    """Ping a connection before its use only if it was idle; `pool_pre_ping` costs a round trip.

    A broken one makes the pool replace all of its connections, as with `pool_pre_ping`.
    """

    @event.listens_for(engine, "checkin")
    def note_use(connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()
        if connection is not None and not connection.closed:
            # After a READ ONLY transaction SQLAlchemy asks for READ WRITE ones. Whether a server
            # may be written to is for its operator to say.
            connection.readonly = None

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None or time.monotonic() - used_at < PING_AFTER_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg2.Error as error:
            raise InvalidatePoolError from error


def _leave_read_only(context: ExceptionContext) -> None:
    """Have the pool replace its connections when the server is read-only.

    After a failover the address may lead to the old primary for a while, now a standby, whose
    connections answer each ping.
    """
    if is_read_only(context.original_exception):
        context.is_disconnect = True


def _prepend_viewer(
    connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    viewer: Viewer | None = connection.get_execution_options().get("viewer")
    return viewer.prepend(statement, parameters) if viewer else (statement, parameters)


@contextmanager
def reading(engine: Engine, viewer: Viewer | None = None) -> Iterator[Session]:
    """Yield a session in one READ ONLY transaction; objects it loaded stay readable afterwards.

    Raises Unavailable if PostgreSQL does not answer or no connection of the pool is free.
    """
    with reachable(), Session(engine) as session:
        session.connection(execution_options={"postgresql_readonly": True, "viewer": viewer})
        yield session


@contextmanager
def writing(engine: Engine, viewer: Viewer | None = None) -> Iterator[Session]:
    """Yield a session in one transaction, and commit it at the end.

    Raises Unavailable likewise, and if PostgreSQL is read-only.
    """
    with (
        reachable(),
        _writable(),
        Session(engine, expire_on_commit=False) as session,
        session.begin(),
    ):
        session.connection(execution_options={"viewer": viewer})
        yield session


@contextmanager
def reachable() -> Iterator[None]:
    """Raise Unavailable for errors that mean that PostgreSQL cannot be reached just now."""
    try:
        yield
    except _UNREACHABLE as error:
        raise Unavailable("the database does not answer") from error
    except (DBAPIError, psycopg2.Error) as error:
        if sqlstate_of(error) in _TIMED_OUT:
            raise Unavailable("the database ended a transaction that took long") from error
        raise


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if is_read_only(error):
            raise Unavailable("the database is read-only at this moment") from error
        raise
