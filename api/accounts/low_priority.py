"""How a process that only computes lets every other go first.

Each of these steps is worth milliseconds of a chat's p99 in a storm of sign-ins
(`python -m tests.bench storm`).
"""

import ctypes
import os
import platform
import struct
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

NICENESS: Final = 19
#: The shortest slice that Linux gives.
SLICE_NS: Final = 100_000
_AUTOGROUP: Final = Path("/proc/self/autogroup")
#: Number of sched_setattr(2), for which the C library has no function.
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}


@cache
def step_back() -> None:
    """Give way to everybody, for as long as this process lives."""
    os.nice(NICENESS)
    # Linux may share its time among sessions first (autogroup): one of its own, as modest.
    os.setsid()
    with suppress(OSError):
        _AUTOGROUP.write_text(str(NICENESS))
    if sys.platform == "linux":
        _shorten_slice(os.getpriority(os.PRIO_PROCESS, 0))
        # However modest a process, its core counts as taken; one that does nothing else but this
        # policy's work is free to everybody.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _shorten_slice(niceness: int) -> None:
    """Ask for the shortest slice. Before Linux 6.12 this changes nothing.

    `SCHED_IDLE` gives way at once within a group of processes only; where Linux shares its time
    among groups, whoever of another one wakes up waits until the slice is over.
    """
    if number := _SCHED_SETATTR.get(platform.machine()):
        # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
        wanted = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, niceness, 0, SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, wanted, 0)
