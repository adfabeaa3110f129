"""PgBouncer in transaction mode between everything and PostgreSQL, as at Neon's pooled endpoint."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from api.local import data_dir
from tests.chaos.faults.base import Fault
from tests.chaos.site import Site

_PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_CONFIGURATION: Final = """\
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 12
max_client_conn = 200
ignore_startup_parameters = extra_float_digits,options
"""


class ThroughPgBouncer(Fault):
    """All connections to the database go through a pooler for a while."""

    name = "postgres: through PgBouncer in transaction mode"
    target = "postgres"
    seconds = 20.0
    brief_seconds = 5.0

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    def missing(cls, site: Site) -> str:
        return "" if _PROGRAM else "no pgbouncer (Debian has one)"

    async def inject(self) -> None:
        directory = self.site.directory / "pgbouncer"
        port = data_dir.free_port()
        self._configure(directory, port)
        self._process = await asyncio.create_subprocess_exec(
            *(str(_PROGRAM), "-q", *(["-u", "nobody"] if os.geteuid() == 0 else [])),
            str(directory / "pgbouncer.ini"),
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._route(port)

    async def heal(self) -> None:
        self._route(self.site.postgres_server.port)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _route(self, port: int) -> None:
        for node in (*self.site.apis, *self.site.workers):
            node.links["postgres"].server_port = port
            node.links["postgres"].drop_all()

    def _configure(self, directory: Path, port: int) -> None:
        directory.mkdir(exist_ok=True)
        users = directory / "users.txt"
        url = make_url(self.site.postgres_server.url)
        users.write_text(f'"{url.username}" "{url.password}"\n')
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                server_port=self.site.postgres_server.port, port=port, users=users
            )
        )
        if os.geteuid() == 0:
            for path in (directory, users, configuration):
                shutil.chown(path, "nobody")


FAULTS: Final = (ThroughPgBouncer,)
