"""Keeps programs running: starts them, starts them again when they end, stops them."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from api.local.command import Command
from api.local.console import Console
from api.local.errors import LocalError
from api.local.log_file import LogFile

READY_POLL_SECONDS = 0.05
#: How often the length of a log is looked at.
LOG_CHECK_SECONDS = 60.0


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
        """Return whether it serves now."""
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
    """One program, kept running until `stop`. What it prints goes to its log file."""

    def __init__(
        self, program: Program, console: Console, log: Path, backoff: Backoff | None = None
    ) -> None:
        self.program = program
        self.log = LogFile(log)
        self.pid: int | None = None
        self.starts = 0
        #: How it ended the last time.
        self.last_end = ""
        self._console = console
        self._backoff = backoff or Backoff()
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, on_failure: Callable[[str], None] = lambda _: None) -> None:
        """Start the program, in the running event loop.

        `on_failure` is told why if the supervision itself ends before `stop`.
        """

        def ended(task: asyncio.Task[None]) -> None:
            if not self._stopping.is_set():
                reason = "cancelled" if task.cancelled() else repr(task.exception())
                on_failure(f"the supervision of {self.program.name} has ended: {reason}")

        self._task = asyncio.create_task(self._keep_running())
        self._task.add_done_callback(ended)

    async def ready(self) -> None:
        """Wait until the program answers. Raises LocalError if it ends before that."""
        answered = asyncio.create_task(self._answered())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await _any_done(answered, ended)
            if not answered.done():
                raise LocalError(self.described(self.last_end))
            answered.result()
        finally:
            answered.cancel()
            ended.cancel()

    async def _answered(self) -> None:
        while self.pid is None or not await asyncio.to_thread(self.program.answers):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(READY_POLL_SECONDS)

    def described(self, problem: str) -> str:
        """Return a problem of the program with the end of its log."""
        lines = "".join(f"\n    {line}" for line in self.log.last_lines())
        log = f"The end of {self.log.path}:{lines}" if lines else f"{self.log.path} is empty."
        return f"{self.program.name} {problem}. {log}"

    async def stop(self) -> None:
        """Ask the program to stop, kill it when it takes too long, wait for its end."""
        self._stopping.set()
        if self._task:
            await asyncio.wait({self._task})
        self.kill()  # the supervision may have failed before

    def kill(self) -> None:
        """End the program and its children at once."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        delay = None
        while not self._stopping.is_set():
            started = loop.time()
            self.last_end = await self._run()
            self._ended.set()
            if self._stopping.is_set():
                break
            delay = self._backoff.after(delay, loop.time() - started)
            again = f"starting again in {delay:g} s (log: {self.log.path})"
            self._console.event(self.program.name, f"{self.last_end}; {again}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    async def _run(self) -> str:
        """Run the program once, to its end or until `stop`; return how it ended."""
        try:
            await asyncio.to_thread(self.program.prepare)
            command = self.program.command()
            process = await self._started(command)
        except (LocalError, OSError) as error:  # a full disk, for one, may have room again
            return f"cannot be started: {error}"
        self.pid = process.pid
        self.starts += 1
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        while not await _any_done(ended, stopping, within_seconds=LOG_CHECK_SECONDS):
            await asyncio.to_thread(self.log.shorten)
        stopping.cancel()
        if not ended.done():
            with suppress(ProcessLookupError):
                process.send_signal(command.stop_signal)
            await asyncio.wait({ended}, timeout=command.stop_seconds)
        # What the program forked ends with it, and so does a program that does not stop.
        self.kill()
        code = await ended
        self.pid = None
        return described_end(code)

    async def _started(self, command: Command) -> asyncio.subprocess.Process:
        output = self.log.open()
        try:
            return await asyncio.create_subprocess_exec(
                *command.tethered,
                env=command.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            os.close(output)


def described_end(code: int) -> str:
    """Return in words how a process ended: its exit code, or the negative of a signal."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"


async def _any_done(*futures: "asyncio.Future[Any]", within_seconds: float | None = None) -> bool:
    done, _ = await asyncio.wait(
        futures, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED
    )
    return bool(done)
