"""The log file of one process, which writes to it directly: no reader is in between."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

#: A longer log is cut to its end.
BYTES_MOST: Final = 16 * 1024 * 1024
BYTES_KEPT: Final = 1024 * 1024
_LINE_BYTES: Final = 400


class LogFile:
    """A file that a process appends to, kept below a size."""

    def __init__(self, path: Path, bytes_most: int = BYTES_MOST) -> None:
        self.path = path
        self._bytes_most = bytes_most
        #: Where the log of this run begins.
        self._begin: int | None = None

    def open(self) -> int:
        """Return a descriptor to append to; of nowhere, if the file cannot be opened."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Appending, each writer goes on at the end, also after the file was cut.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            return os.open(os.devnull, os.O_WRONLY)
        if self._begin is None:
            self._begin = os.fstat(descriptor).st_size
        return descriptor

    def shorten(self) -> None:
        """Cut a log that is too long to its end, and say in it how much went.

        What is written in the same instant may be lost too. Does nothing if the disk refuses.
        """
        with suppress(OSError):
            size = self.path.stat().st_size
            if size <= self._bytes_most:
                return
            kept = self._end(min(BYTES_KEPT, self._bytes_most))
            os.truncate(self.path, 0)
            self._begin = 0
            with self.path.open("ab") as file:
                file.write(b"(%d bytes of this log were dropped)\n" % (size - len(kept)) + kept)

    def last_lines(self, number: int = 10) -> list[str]:
        """Return the end of what this run has logged."""
        try:
            text = self._end(number * _LINE_BYTES).decode(errors="replace")
        except OSError:
            return []
        return [line.rstrip()[:_LINE_BYTES] for line in text.splitlines() if line.strip()][-number:]

    def _end(self, most_bytes: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(max(self._begin or 0, os.fstat(file.fileno()).st_size - most_bytes))
            return file.read()
