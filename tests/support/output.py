"""Outputs that take nothing more."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def stuck_pipe() -> Iterator[int]:
    """Lend the end of a full pipe that is not read: each write to it waits."""
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    try:
        yield writer
    finally:
        os.close(reader)  # what waits fails
