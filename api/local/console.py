"""The lines that a stack prints: best effort, so that no reader can hold the stack up."""

import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Final

NAME_WIDTH: Final = 8
#: Lines that may wait for a slow reader; more are dropped.
LINES_MOST: Final = 1000


class Console:
    """Prints lines in a thread of its own. What cannot be written is dropped and counted."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Print to an open file; without one, to standard output."""
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._lines: queue.Queue[str | None] = queue.Queue(LINES_MOST)
        #: Lines that were not printed.
        self.dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._write_all, name="console", daemon=True)
        self._thread.start()

    def event(self, name: str, line: str) -> None:
        """Print what happened to one process."""
        self.line(f"{name:<{NAME_WIDTH}} | {line}")

    def line(self, line: str) -> None:
        """Print a line with nothing before it. Never waits, never fails."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self, seconds: float = 1.0) -> None:
        """Let the waiting lines be written, for at most some seconds."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(seconds)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            lost = self.dropped - self._reported
            if lost and self._is_written(f"({lost} lines were dropped)"):
                self._reported += lost
            if not self._is_written(line):
                self.dropped += 1

    def _is_written(self, line: str) -> bool:
        # Not through `sys.stdout`: its lock is held while a write waits, also at the exit.
        rest = f"{line}\n".encode(errors="replace")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:  # the reader is gone, the disk is full
            return False
        return True
