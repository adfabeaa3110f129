"""Standbys of a PostgreSQL: one that follows it by streaming replication, one that stands still."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg2
from sqlalchemy.engine import make_url

from api.local.postgres import EmbeddedPostgres
from tests.support.servers import QuickPostgres, running
from tests.support.waiting import eventually

_TRUST = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
#: Nothing that a session does keeps the standby from going on.
_STREAMING = """
primary_conninfo = 'host=127.0.0.1 port={port} user=postgres'
max_standby_streaming_delay = 0
wal_retrieve_retry_interval = 100ms
"""


@contextmanager
def standby_of(
    primary: EmbeddedPostgres, directory: Path, *, follows: bool = False
) -> Iterator[EmbeddedPostgres]:
    """Run a standby that has what the primary has now. Unless it follows, it gets nothing more."""
    (primary.directory / "cluster" / "pg_hba.conf").write_text(_TRUST)
    primary.stop()
    shutil.copytree(primary.directory, directory, ignore=shutil.ignore_patterns("port", "*.lock"))
    cluster = directory / "cluster"
    (cluster / "standby.signal").touch()
    if follows:
        with (cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write(_STREAMING.format(port=primary.port))
    primary.start()
    with running(QuickPostgres(directory)) as standby:
        yield standby


def on(server: EmbeddedPostgres, url: str) -> str:
    """Return the URL of the same database, under the same role, on another server."""
    return make_url(url).set(port=server.port).render_as_string(hide_password=False)


def pause(standby: EmbeddedPostgres) -> None:
    """Let the standby apply nothing more until `resume`."""
    ask(standby, "SELECT pg_wal_replay_pause()")
    eventually(lambda: ask(standby, "SELECT pg_get_wal_replay_pause_state()") == "paused")


def resume(standby: EmbeddedPostgres) -> None:
    ask(standby, "SELECT pg_wal_replay_resume()")


def catch_up(primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
    """Wait until the standby has all that the primary has now."""
    place = ask(primary, "SELECT pg_current_wal_lsn()")
    eventually(lambda: ask(standby, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", place))


def cut_off(standby: EmbeddedPostgres) -> None:
    """Let the standby get nothing more from its primary, for good."""
    ask(standby, "ALTER SYSTEM SET primary_conninfo = ''")
    ask(standby, "SELECT pg_reload_conf()")
    eventually(lambda: ask(standby, "SELECT count(*) FROM pg_stat_wal_receiver") == 0)


def ask(server: EmbeddedPostgres, statement: LiteralString, *parameters: Any) -> Any:
    """Return the first value of a query, or None of a command, as the administrator."""
    with closing(psycopg2.connect(server.admin_url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement, parameters)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None
