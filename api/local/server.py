"""What the embedded servers have in common: a directory, a port, a start, a stop."""

import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from api.local import data_dir, locks
from api.local.command import Command
from api.local.errors import LocalError

#: A server that recovers from a crash first replays its log.
START_SECONDS = 60.0


class EmbeddedServer(ABC):
    """A real server with its data in a directory of its own, listening on loopback only.

    The supervisor runs `command()` itself; tests and tools use `start()`, `stop()`, `kill()`.
    """

    name: str
    #: What is lost with its data.
    holds: str

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.lock = self.directory / "server.lock"
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port, chosen at the first start and kept since."""
        if self._port is None:
            self._port = data_dir.port(self.directory / "port")
        return self._port

    @property
    @abstractmethod
    def data(self) -> Path:
        """The folder that the server itself writes."""

    def has_data(self) -> bool:
        """Return whether an earlier run left data."""
        return self.data.exists()

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find the server; holds the password."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server serves clients now."""

    @abstractmethod
    def command(self) -> Command:
        """Return how to start the prepared server."""

    def prepare(self) -> None:
        """Make what the server needs, and end one that a killed run left behind."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        locks.end_holder(self.lock)

    def start(self) -> None:
        """Start the server and wait until it answers, on the port and data of before."""
        self.prepare()
        command = self.command()
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command.tethered,
                env=command.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LocalError(f"{self.name} does not start; see {log.name}")
            time.sleep(locks.POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server cleanly; kill it when it takes too long."""
        if self._process is None:
            return
        command = self.command()
        self._process.send_signal(command.stop_signal)
        try:
            self._process.wait(command.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the server as a crash would, and wait until nothing is left of it."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        locks.end_holder(self.lock)

    @property
    def pid(self) -> int | None:
        """The pid of the server that `start` started."""
        return self._process.pid if self._process else None
