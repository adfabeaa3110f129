"""Keeps programs running: starts them, passes their output on, starts them again, stops them."""

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from api.local.command import Command
from api.local.console import Console
from api.local.errors import LocalError

READY_POLL_SECONDS = 0.05
LAST_WORDS_SECONDS = 1.0
LONGEST_LINE_BYTES = 1024 * 1024


class Program(Protocol):
    """Something to keep running. Its methods may block; they are called in threads."""

    name: str

    def prepare(self) -> None:
        """Do what must be done before each start. Raises LocalError where that fails."""
        ...

    def command(self) -> Command:
        """Return how to start it."""
        ...

    def answers(self) -> bool:
        """Tell whether it serves now."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next start of a program that ended."""

    first_seconds: float = 0.5
    longest_seconds: float = 8.0
    #: A program that ran this long was healthy: its end is a first one again.
    healthy_seconds: float = 30.0

    def after(self, previous_seconds: float | None, ran_seconds: float) -> float:
        """Return the delay, given the one before and how long the program then ran."""
        if previous_seconds is None or ran_seconds >= self.healthy_seconds:
            return self.first_seconds
        return min(previous_seconds * 2, self.longest_seconds)


class Supervised:
    """One program, kept running until `stop`."""

    def __init__(self, program: Program, console: Console, backoff: Backoff | None = None) -> None:
        self.program = program
        self.pid: int | None = None
        self.starts = 0
        self._console = console
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the program, in the running event loop."""
        self._task = asyncio.create_task(self._keep_running())

    async def ready(self) -> None:
        """Wait until the program answers."""
        while self.pid is None or not await asyncio.to_thread(self.program.answers):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(READY_POLL_SECONDS)

    async def stop(self) -> None:
        """Ask the program to stop, kill it when it takes too long, wait for its end."""
        self._stopping.set()
        if self._task:
            await self._task

    def kill(self) -> None:
        """End the program and its children at once."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        output = asyncio.create_task(self._pass_on(read))
        delay = None
        try:
            while not self._stopping.is_set():
                started = loop.time()
                how = await self._run(write)
                if self._stopping.is_set():
                    break
                delay = self._backoff.after(delay, loop.time() - started)
                self._console.write(self.program.name, f"{how}; starting again in {delay:g} s")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay)
        finally:
            os.close(write)
            # Its end comes with the last process that can write to it.
            await asyncio.wait({output}, timeout=LAST_WORDS_SECONDS)
            output.cancel()

    async def _run(self, output: int) -> str:
        """Run the program once, to its end or until `stop`; return how it ended."""
        try:
            await asyncio.to_thread(self.program.prepare)
            command = self.program.command()
            # The pipe is ours, not asyncio's: a grandchild that keeps it open must not make us
            # believe that the program still runs (CPython issue 119710).
            process = await asyncio.create_subprocess_exec(
                *command.tethered,
                env=command.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except (LocalError, OSError) as error:  # a full disk, for one, may have room again
            return f"cannot be started: {error}"
        self.pid = process.pid
        self.starts += 1
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            with suppress(ProcessLookupError):
                process.send_signal(command.stop_signal)
            await asyncio.wait({ended}, timeout=command.stop_seconds)
        # What the program forked ends with it, and so does a program that does not stop.
        self.kill()
        code = await ended
        self.pid = None
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    async def _pass_on(self, pipe: int) -> None:
        reader = asyncio.StreamReader(LONGEST_LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
        )
        try:
            while not reader.at_eof():
                with suppress(ValueError):  # a line too long to be worth it
                    if line := await reader.readline():
                        text = line.decode(errors="replace").rstrip()
                        self._console.write(self.program.name, text)
        finally:
            transport.close()
