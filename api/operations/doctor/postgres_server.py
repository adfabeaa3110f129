"""The doctor looks at PostgreSQL: the server, the roles of API and worker, and the schema."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

import psycopg2
from alembic.script import ScriptDirectory
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, badly named
from psycopg2.extras import RealDictCursor
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from api.core import migrations, roles
from api.core.database import OLDEST_POSTGRES
from api.core.errors import SettingsError, UnsafeRoleError
from api.core.settings import Settings
from api.operations.doctor.findings import Finding, clock, ok, problem, warning

CONNECT_SECONDS: Final = 5
_FACTS: Final = """
    SELECT current_setting('server_version_num')::int / 10000 AS version,
        current_setting('server_encoding') AS encoding,
        pg_is_in_recovery() AS is_standby,
        current_setting('transaction_read_only') = 'on' AS is_read_only,
        current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes,
        current_setting('synchronous_commit') AS synchronous_commit,
        extract(epoch FROM clock_timestamp())::float AS now,
        pg_backend_pid() AS pid
"""
#: What libpq says of a failed connection, and what that means.
_REASONS: Final = {
    "password authentication failed": "the name or password is wrong",
    "no password supplied": "the URL has no password",
    "no pg_hba.conf entry": "the server's pg_hba.conf does not let this role in",
    "does not exist": "there is no such database or role",
    "too many clients": "all of its connections are taken",
    "remaining connection slots": "all of its connections are taken",
    "Connection refused": "no server listens there",
    "could not translate host name": "the host's name is unknown",
    "timeout expired": "it did not answer in time",
    "SSL": "TLS failed: compare sslmode and certificates",
}


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield findings on the database that each URL leads to."""
    wanted: dict[str, tuple[URL, roles.Role | None]] = {
        "DATABASE_URL": (settings.database, "verbatim_api"),
        "WORKER_DATABASE_URL": (settings.worker_database, "verbatim_worker"),
        "DATABASE_DIRECT_URL": (settings.migration_database, None),
    }
    if settings.read_database:
        wanted["READ_DATABASE_URL"] = (settings.read_database, "verbatim_api")
    is_known = False
    for name, (url, role) in wanted.items():
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            with closing(psycopg2.connect(plain, connect_timeout=CONNECT_SECONDS)) as connection:
                before = time.time()
                facts = _facts(connection)
                after = time.time()
                if not is_known:
                    yield from _server(facts)
                    skew = facts["now"] - (before + after) / 2
                    yield clock("postgresql", "PostgreSQL", skew, (after - before) / 2)
                    is_known = True
                if facts["version"] < OLDEST_POSTGRES:
                    return
                if role is None:
                    yield from _pooler(connection, facts["pid"])
                    yield from _schema(url)
                elif settings.row_security == "enforced":
                    yield _role(connection, name, role)
        except psycopg2.Error as error:
            yield _silent(name, str(error))


def _silent(name: str, message: str) -> Finding:
    why = next(
        (why for part, why in _REASONS.items() if part in message), "why, the server's log says"
    )
    meanwhile = (
        "the primary answers the reads meanwhile"
        if name == "READ_DATABASE_URL"
        else "chat goes on meanwhile, reads and sign-in do not"
    )
    return problem(
        "postgresql",
        f"nobody can connect by {name}: {why}",
        f"start the server, or correct {name}; {meanwhile}",
    )


def _facts(connection: Connection) -> dict[str, Any]:
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_FACTS)
        return dict(cursor.fetchone() or {})


def _server(facts: Mapping[str, Any]) -> Iterator[Finding]:
    version = facts["version"]
    if version < OLDEST_POSTGRES:
        yield problem(
            "postgresql", f"PostgreSQL {version} is too old", f"use {OLDEST_POSTGRES} or newer"
        )
    else:
        yield ok("postgresql", f"PostgreSQL {version}")
    if facts["encoding"] != "UTF8":
        yield problem(
            "postgresql",
            f"the database's encoding is {facts['encoding']}: texts become dead letters",
            "move to a database that was created with ENCODING 'UTF8'",
        )
    if facts["is_standby"] or facts["is_read_only"]:
        why = "a standby" if facts["is_standby"] else "set so"
        yield problem(
            "postgresql",
            f"the database is read-only ({why}): messages wait in the log, nobody can sign in",
            "let the URLs lead to the primary, or switch default_transaction_read_only off",
        )
    loose = [
        name for name in ("fsync", "full_page_writes", "synchronous_commit") if facts[name] == "off"
    ]
    if loose:
        yield problem(
            "postgresql",
            f"PostgreSQL may lose what it committed: {', '.join(loose)} off. The log has let go of "
            "it by then",
            "switch it on",
        )


def _role(connection: Connection, name: str, role: roles.Role) -> Finding:
    try:
        roles.refuse_bypass(connection, role)
    except UnsafeRoleError as error:
        says, _, do = str(error).partition(": ")
        return problem("postgresql", says, do)
    return ok("postgresql", f"row-level security restricts the role of {name}")


def _pooler(connection: Connection, pid: int) -> Iterator[Finding]:
    # A pooler has a number of its own for each client.
    if connection.info.backend_pid != pid:
        yield warning(
            "postgresql",
            "migrations would go through a pooler",
            "set DATABASE_DIRECT_URL to the server's own address",
        )


def _schema(url: URL) -> Iterator[Finding]:
    try:
        scripts = ScriptDirectory.from_config(migrations.alembic_config(url))
        at = migrations.revision(url)
    except SettingsError as error:
        yield warning("postgresql", "the schema was not looked at", str(error))
        return
    except SQLAlchemyError:
        yield warning(
            "postgresql",
            "the schema's version is not shown to this role",
            "set DATABASE_DIRECT_URL to the database as its owner",
        )
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if at == scripts.get_current_head():
        yield ok("postgresql", f"the schema is at {at}, as this version needs it")
    elif at is None or at in known:
        yield problem("postgresql", f"the schema is at {at or 'nothing'}", "run `verbatim migrate`")
    else:
        yield problem(
            "postgresql",
            f"the schema is at {at}, which this version does not know",
            "run the version that made it, or a newer one",
        )
