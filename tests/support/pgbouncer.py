"""A PgBouncer in transaction mode before a PostgreSQL, as serverless databases have one."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

from api.local import data_dir
from tests.support.waiting import eventually

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
server_reset_query_always = 0
ignore_startup_parameters = extra_float_digits,options
"""


@contextmanager
def pooled(directory: Path, urls: Sequence[URL], connections: int) -> Iterator[list[URL]]:
    """Yield URLs through a pooler that shares so few connections among all clients of a role."""
    assert PROGRAM, "there is no pgbouncer: `make system-deps` installs Debian's"
    port = data_dir.free_port()
    users = directory / "users.txt"
    users.write_text("".join(f'"{url.username}" "{url.password}"\n' for url in urls))
    ini = directory / "pgbouncer.ini"
    ini.write_text(
        CONFIGURATION.format(
            server_port=urls[0].port, port=port, users=users, connections=connections
        )
    )
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    if as_nobody:
        for path in (*directory.parents, directory, users, ini):
            if path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(path.stat().st_mode | 0o005)
    through = [url.set(port=port) for url in urls]
    with subprocess.Popen([PROGRAM, "-q", *as_nobody, str(ini)]) as process:
        try:
            eventually(lambda: answers(through[0]))
            yield through
        finally:
            process.terminate()


def answers(url: URL) -> bool:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        psycopg2.connect(plain, connect_timeout=5).close()
    except psycopg2.OperationalError:
        return False
    return True
