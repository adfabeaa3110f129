"""Looks at processes from outside, as an operator would; Linux only, like the promise itself."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_COVERAGE: Final[dict[str, str]] = {}


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


def commands(pids: Iterable[int]) -> list[str]:
    """Return what each process runs, but for those that have ended."""
    found = []
    for pid in pids:
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return found


def measure_no_process() -> None:
    """From now on, start processes whose coverage is not measured.

    A traced process takes half as long again to start, and most of them are there to be killed.
    """
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        _COVERAGE[name] = os.environ.pop(name)


def measuring() -> dict[str, str]:
    """Return what measures the coverage of a process, for its environment."""
    return dict(_COVERAGE)
