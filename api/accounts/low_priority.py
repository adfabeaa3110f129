"""Run this process at the lowest CPU priority: nice 19, its own session, SCHED_IDLE, short slices.

For the process that hashes passwords. Each step lowers the p99 of chat requests during a storm of
sign-ins by milliseconds (`python -m tests.bench storm`).
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
#: The shortest time slice that Linux allows, in nanoseconds.
SLICE_NS: Final = 100_000
_AUTOGROUP: Final = Path("/proc/self/autogroup")
#: System call number of sched_setattr(2), for which the C library has no function.
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}


@cache
def lower_priority() -> None:
    """Lower this process's CPU priority for the rest of its life; a second call does nothing.

    What the system does not support is left out. Raises OSError if the process leads a process
    group, since it cannot get a session of its own then.
    """
    os.nice(NICENESS)
    # Linux may divide CPU time between sessions first (autogroup): a session of its own, and nice.
    os.setsid()
    with suppress(OSError):
        _AUTOGROUP.write_text(str(NICENESS))
    if sys.platform == "linux":
        _shorten_slice(os.getpriority(os.PRIO_PROCESS, 0))
        # The scheduler treats a core that runs only SCHED_IDLE tasks as free, and wakes others
        # there; a core with a task of nice 19 counts as busy.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _shorten_slice(niceness: int) -> None:
    """Set the shortest time slice; ignored by Linux before 6.12.

    A SCHED_IDLE task is preempted at once only by tasks of its own scheduling group. Tasks of
    other groups (autogroup, cgroups) wait until its slice ends.
    """
    if number := _SCHED_SETATTR.get(platform.machine()):
        # struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
        attributes = struct.pack("=IIQiIQQQ", 48, os.SCHED_OTHER, 0, niceness, 0, SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)
