"""Who goes first where processors are short."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def set_niceness(pids: Iterable[int], niceness: int) -> None:
    """Change the main threads of processes, and the groups in which Linux schedules them.

    Only root may lower a niceness; for others all stays as it is.
    """
    for pid in pids:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, niceness)
        with suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
