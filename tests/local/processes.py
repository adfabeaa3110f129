"""Looks at processes from outside, as an operator would; Linux only, like the promise itself."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Poll until it holds; tell whether it did in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(") ")[2][0] != "Z"


def using(directory: Path) -> set[int]:
    """Return every process with an open file in a directory: all of a stack, forks included."""
    found = set()
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            for descriptor in descriptors.iterdir():
                with suppress(OSError):
                    if descriptor.readlink().is_relative_to(directory):
                        found.add(int(descriptors.parent.name))
    return found - {os.getpid()}
