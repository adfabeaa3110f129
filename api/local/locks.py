"""File locks that tell which processes live: the system frees them however a process ends."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from api.local.errors import LocalError

POLL_SECONDS = 0.02


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock with our pid in it. Raises LocalError when another process holds it."""
    with path.open("a+") as file:
        if not _is_locked_within(file, 0.0):
            file.seek(0)
            pid = file.read() or "?"
            raise LocalError(f"a stack (pid {pid}) is running already on {path.parent}")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def end_holder(path: Path, seconds: float = 10.0) -> None:
    """Wait until no process holds the lock; stop, then kill, the one that wrote its pid there."""
    with path.open("a+") as file:
        for number in (signal.SIGINT, signal.SIGKILL):
            if _is_locked_within(file, 0.0):
                return
            file.seek(0)
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read()), number)
            if _is_locked_within(file, seconds):
                return
        file.seek(0)
        raise LocalError(f"process {file.read()} of an earlier run cannot be ended ({path})")


def _is_locked_within(file: IO[str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True
