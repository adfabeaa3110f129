"""Small real programs for the supervisor to keep running."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from api.local.command import Command


class Script:
    """A Python script that writes its pid to a file, then does what the test wants."""

    name = "script"

    def __init__(self, directory: Path, body: str, stop_seconds: float = 5.0) -> None:
        self.pids = directory / "pids"
        self.log = directory / "script.log"
        self.is_ready: Callable[[], bool] = lambda: bool(self.noted())
        self._stop_seconds = stop_seconds
        self._body = f"""
import os, signal, sys, time
def note(pid):
    with open({str(self.pids)!r}, "a") as file:
        file.write(f"{{pid}}\\n")
note(os.getpid())
{body}
"""

    def prepare(self) -> None:
        pass

    def command(self) -> Command:
        return Command(
            [sys.executable, "-c", self._body],
            stop_signal=signal.SIGTERM,
            stop_seconds=self._stop_seconds,
        )

    def answers(self) -> bool:
        return self.is_ready()

    def noted(self) -> list[int]:
        """Return every pid noted so far."""
        if not self.pids.exists():
            return []
        return [int(line) for line in self.pids.read_text().split("\n")[:-1]]


#: Forks once; parent and child sleep. The child's pid is noted too.
FORKS = """
child = os.fork()
if child:
    note(child)
time.sleep(1000)
"""
