"""One process of the system under test, and the links that connect it to the others."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, Signals

from api.core.settings import Settings
from api.local.command import Command
from api.local.console import Console
from api.local.programs import Api, Worker
from api.local.supervisor import Backoff, Program, Supervised
from tests.support.proxy import Link

BACKOFF = Backoff(first_seconds=0.3, longest_seconds=2.0, healthy_seconds=5.0)


class ApiProgram(Api):
    """One API process out of several."""

    def __init__(self, name: str, settings: Settings, env: Mapping[str, str]) -> None:
        self.name, self._given = name, env
        super().__init__(settings)

    def env(self) -> Mapping[str, str]:
        return self._given


class WorkerProgram(Worker):
    """One worker out of several. No Flower runs, so nobody knows when it is ready."""

    def __init__(self, name: str, settings: Settings, env: Mapping[str, str]) -> None:
        self.name, self._given = name, env
        super().__init__(settings)

    def env(self) -> Mapping[str, str]:
        return self._given

    def answers(self) -> bool:
        return True


class Node:
    """One supervised process: it is started again whenever it ends."""

    def __init__(
        self,
        program: Program,
        console: Console,
        log: Path,
        env: dict[str, str] | None = None,
        links: dict[str, Link] | None = None,
    ) -> None:
        self.name = program.name
        #: What the process is started with; changes count from its next start on.
        self.env = env if env is not None else {}
        self.links = links or {}
        self.supervised = Supervised(program, console, log, BACKOFF)

    @property
    def pid(self) -> int:
        """The process's pid, 0 while it is down."""
        return self.supervised.pid or 0

    def signal(self, number: Signals) -> None:
        """Send a signal to the process and to what it forked."""
        if self.supervised.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.supervised.pid, number)

    def signal_main(self, number: Signals) -> None:
        """Send a signal to the process alone."""
        if self.supervised.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.supervised.pid, number)

    async def stop(self) -> None:
        """Stop it."""
        await self.supervised.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self.signal(SIGKILL)


def with_env(command: Command, env: Mapping[str, str]) -> Command:
    """Return a command with more in its environment."""
    return Command(
        command.argv,
        env={**command.env, **env},
        stop_signal=command.stop_signal,
        stop_seconds=command.stop_seconds,
        orphan_signal=command.orphan_signal,
        lock=command.lock,
        user=command.user,
    )
