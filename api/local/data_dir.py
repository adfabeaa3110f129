"""What a stack remembers in its data directory between two runs: secrets and ports."""

import os
import secrets
import socket
from contextlib import closing
from pathlib import Path

from api.local.errors import LocalError

#: Below every system's range of ephemeral ports (Linux: from 32,768). A port from that range may
#: be in use as an outgoing port, and a client that retries a closed one on loopback can
#: even connect to itself.
PORTS = range(20_000, 32_000)


def secret(path: Path) -> str:
    """Return the secret kept in a file that only its owner may read; make it the first time."""
    if not path.exists():
        write_privately(path, secrets.token_urlsafe(32))
    return path.read_text()


def write_privately(path: Path, text: str) -> None:
    """Write a whole file, mode 0600, or none: a half-written secret would lock its data up."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - Path.open takes no mode
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def port(path: Path) -> int:
    """Return the port kept in a file; if it is taken, or there is none yet, a free one."""
    if path.exists() and is_free(kept := int(path.read_text())):
        return kept
    chosen = free_port()
    write_privately(path, str(chosen))
    return chosen


def free_port() -> int:
    """Return a free port of loopback. Raises LocalError if none is found."""
    for _ in range(100):
        candidate = PORTS[secrets.randbelow(len(PORTS))]
        if is_free(candidate):
            return candidate
    raise LocalError("no free port on 127.0.0.1")


def is_free(number: int) -> bool:
    """Return whether a server could listen on this port of loopback."""
    try:
        try_port("127.0.0.1", number)
    except OSError:
        return False
    return True


def try_port(host: str, number: int) -> None:
    """Raise OSError where a server could not listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        # As the servers do themselves: connections of an earlier run linger for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, number))
