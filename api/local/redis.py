"""The embedded Redis: the Valkey of a wheel, or the server that VERBATIM_REDIS_SERVER names."""

import shutil
import time
from functools import cached_property
from pathlib import Path
from typing import Final

import redis

from api.local import data_dir, locks, redis_version
from api.local.command import Command
from api.local.errors import LocalError
from api.local.redis_version import DATA, RedisVersion
from api.local.server import EmbeddedServer

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

#: The streams of all logs in a Redis, whatever their namespace (keys: `api/core/lua/head.lua`).
LOG_STREAMS: Final = "*:log*"
#: Where another server's data is put while it is read, and while it is replaced.
_COPY: Final = "carried-over"
_REPLACED: Final = f"{DATA}.replaced"
_REWRITE_SECONDS: Final = 60.0


class EmbeddedRedis(EmbeddedServer):
    """A Redis that keeps every write it has answered."""

    name = "redis"
    holds = "accepted messages that PostgreSQL may not have"
    #: More lines of configuration.
    more_configuration = ""

    def __init__(self, directory: Path, program: Path | None = None) -> None:
        super().__init__(directory)
        self._wanted = program

    @cached_property
    def program(self) -> str:
        """The path of the server program. Raises LocalError where there is none."""
        return redis_version.program_path(self._wanted)

    @cached_property
    def version(self) -> RedisVersion:
        """Name and version of the server program. Raises LocalError if it is none."""
        return redis_version.version_of(self.program)

    @property
    def data(self) -> Path:
        """The append-only file."""
        return self.directory / DATA

    def has_data(self) -> bool:
        """Return whether an earlier run left data, be it in the middle of a carrying over."""
        return super().has_data() or (self.directory / _REPLACED).exists()

    @property
    def url(self) -> str:
        """Database 0, for the log; the broker takes the next."""
        return f"redis://:{data_dir.secret(self.directory / 'password')}@127.0.0.1:{self.port}/0"

    def answers(self) -> bool:
        """Return whether the data is loaded."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def prepare(self) -> None:
        """Write the configuration; the password would be visible to all on a command line.

        Raises LocalError, and leaves the data as it is, if another server wrote it.
        """
        super().prepare()
        self.take_over()
        directory = str(self.directory).replace("\\", "\\\\").replace('"', '\\"')
        password = data_dir.secret(self.directory / "password")
        configuration = CONFIGURATION.format(port=self.port, password=password, directory=directory)
        data_dir.write_privately(
            self.directory / "redis.conf", configuration + self.more_configuration
        )

    def take_over(self) -> None:
        """See that this server may open the data, and note that it is the one who writes now."""
        data, replaced = self.data, self.directory / _REPLACED
        if replaced.exists() and not data.exists():
            replaced.rename(data)  # cut short in `_carry_over`
        shutil.rmtree(replaced, ignore_errors=True)
        if data.exists():
            writer = redis_version.writer_of(self.directory)
            if writer is None or not self.version.reads(writer):
                self._carry_over(writer)
        redis_version.remember(self.directory, self.version)

    def _carry_over(self, writer: RedisVersion | None) -> None:
        """Write the data anew in this server's format, if no log in it holds an entry.

        Entries are what PostgreSQL may not have yet; all else may be read by a server that was not
        made for it. Raises LocalError if there are entries, or if this server cannot read the
        data; then nothing has changed.
        """
        copy = _Copy(self.directory / _COPY, self._wanted)
        shutil.rmtree(copy.directory, ignore_errors=True)
        shutil.copytree(self.data, copy.data)
        try:
            try:
                entries = copy.rewrite()
            except LocalError:
                raise self._refusal(writer, "cannot be read by") from None
            if entries:
                raise self._refusal(writer, f"holds {entries} entries of the log; not touched by")
            self.data.rename(self.directory / _REPLACED)
            copy.data.rename(self.data)
        finally:
            shutil.rmtree(copy.directory, ignore_errors=True)
        redis_version.remember(self.directory, self.version)
        shutil.rmtree(self.directory / _REPLACED)

    def _refusal(self, writer: RedisVersion | None, why: str) -> LocalError:
        return LocalError(
            f"{self.directory} was written by {writer or 'an unknown server'} and {why} "
            f"{self.version}: start with VERBATIM_REDIS_SERVER=/path/to/that/server (or with the "
            "Verbatim of before) until `verbatim status` shows a backlog of 0 entries, stop, and "
            "start again without it; or name another VERBATIM_DATA_DIR"
        )

    def command(self) -> Command:
        """Run in the foreground. SIGTERM means SHUTDOWN."""
        return Command([self.program, str(self.directory / "redis.conf")], lock=self.lock)


class _Copy(EmbeddedRedis):
    """A server on a copy of another server's data, to look into it and to write it anew."""

    def take_over(self) -> None:
        """Read what there is. Valkey refuses formats of Redis 7.4 and newer unless told not to."""
        if self.version.name == "Valkey":
            self.more_configuration = "rdb-version-check relaxed\n"

    def rewrite(self) -> int:
        """Write the data anew; return how many entries its logs hold.

        Raises LocalError if it cannot be read.
        """
        self.start()
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                streams = client.scan_iter(LOG_STREAMS, count=1000, _type="stream")
                entries = sum(_pending(client, stream) for stream in streams)
                if not entries:
                    _rewrite(client)
        finally:
            self.stop()
        return entries


def _pending(client: "redis.Redis", stream: bytes) -> int:
    """Return how many entries of a log PostgreSQL is not known to have."""
    committed = client.get(stream.removesuffix(b"log") + b"committed") or b"0"
    return len(client.xrange(stream, min=f"{int(committed.split()[0]) + 1}-0") or ())


def _rewrite(client: "redis.Redis") -> None:
    client.bgrewriteaof()
    deadline = time.monotonic() + _REWRITE_SECONDS
    while (state := client.info("persistence"))["aof_rewrite_in_progress"]:
        if time.monotonic() > deadline:
            raise LocalError(f"the log was not written anew in {_REWRITE_SECONDS:g} s")
        time.sleep(locks.POLL_SECONDS)
    if state["aof_last_bgrewrite_status"] != "ok":
        raise LocalError("the log cannot be written anew")
