"""Looks at processes from outside, as an operator would; Linux only, like the promise itself."""

import os
from contextlib import suppress
from pathlib import Path


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


def unmeasured() -> dict[str, str]:
    """Return this process's environment, for a process that needs no coverage: it would be slow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}
