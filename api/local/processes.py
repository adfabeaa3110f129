"""Keeps the API's processes running behind one port, until a signal stops them.

All of them accept from one socket, which this process opens and holds: who is idle takes the next
connection, and one that is killed takes no connection along that it had not accepted. What they
count is in files of a folder that they share, so that each shows the sum.

uvicorn has a way of its own to do this (`--workers`). It kills a process that does not answer it in
time, also one that was kept from the processor; it ends all of them when one cannot start again;
and where it is killed itself, it leaves them and the port behind.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from socket import SO_ACCEPTCONN, SOL_SOCKET, socket
from tempfile import TemporaryDirectory
from typing import Final

from api.core.metrics import COUNTS_SETTING
from api.local.command import Command
from api.local.supervisor import Backoff, described_end

#: A file system in memory, where there is one: writing to a file on disk may wait for that disk.
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 # nosec B108 - its folder has a name of its own


class Processes:
    """So many processes of one program, each started again whenever it ends.

    The program serves what it accepts from `listener`, bound and inherited; it makes it listen.
    """

    def __init__(
        self, argv: Sequence[str], count: int, listener: socket, backoff: Backoff | None = None
    ) -> None:
        self._command = Command(argv)
        self._count = count
        self._listener = listener
        self._backoff = backoff or Backoff()
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Keep them running until SIGINT or SIGTERM, which they get too; return an exit code.

        It is that of a process which ended before any of them listened: it cannot start.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number)
        place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
        with TemporaryDirectory(prefix="verbatim-counts-", dir=place) as counts:
            await asyncio.gather(*(self._keep_running(counts) for _ in range(self._count)))
        return self._code

    def _stop(self, number: signal.Signals) -> None:
        """Send them a signal, and start none again. Who connects from now on is refused."""
        self._stopping.set()
        self._listener.close()
        for process in self._running:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep_running(self, counts: str) -> None:
        loop = asyncio.get_running_loop()
        delay = None
        while not self._stopping.is_set():
            began = loop.time()
            try:
                code = await self._run(counts)
                end = described_end(code)
            except OSError as error:  # no memory for it, for one, may be there again
                code, end = 1, f"cannot be started: {error}"
            if self._stopping.is_set():
                return
            if not self._listener.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
                self._code = code if code > 0 else 1
                self._stop(signal.SIGTERM)
                return
            delay = self._backoff.after(delay, loop.time() - began)
            sys.stderr.write(f"an API process {end}; starting again in {delay:g} s\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _run(self, counts: str) -> int:
        """Run one process to its end; return its exit code, or the negative of a signal."""
        process = await asyncio.create_subprocess_exec(
            *self._command.tethered,
            env=os.environ | {COUNTS_SETTING: counts},
            # The socket; and the lock that lasts until the last of them is gone.
            close_fds=False,
        )
        self._running.add(process)
        if self._stopping.is_set():
            process.terminate()
        code = await process.wait()
        self._running.remove(process)
        return code
