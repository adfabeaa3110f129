"""The processes under test: an API per contestant, and the workers that some of them need."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from api.local import data_dir
from api.local.command import Command
from tests.bench.site import cpu_seconds

START_SECONDS: Final = 120.0
#: The contestant that is Verbatim with API_PROCESSES=2; all others have one process.
TWO_PROCESSES: Final = "verbatim_2"
#: The virtual environment of the one rival that takes no Celery of today.
BATCHES_PYTHON: Final = Path(sys.prefix).parent / "batches" / "bin" / "python"


class Running:
    """A process with its output in a file."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        command = Command(argv, env=env)
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command.tethered,
                env=command.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        """CPU time of it and what it forked."""
        return cpu_seconds(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self.pid, number)

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Poll until it is so, or the process ended."""
        deadline = time.monotonic() + START_SECONDS
        while not true():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"{self.log.stem} did not start:\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, and what it forked."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait()


class Server(Running):
    """The API of one contestant, started as Verbatim starts its own."""

    def __init__(self, contestant: str, env: Mapping[str, str], directory: Path) -> None:
        self.name = contestant
        self.port = data_dir.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            [sys.executable, "-m", "api.local.serve", "tests.bench.contestants:create_app"],
            {
                **env,
                "BENCH_CONTESTANT": contestant,
                "PORT": str(self.port),
                "API_PROCESSES": "2" if contestant == TWO_PROCESSES else "1",
                "LOG_LEVEL": "WARNING",
            },
            directory / f"api-{contestant}-{self.port}.log",
        )

    def ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with _OPENER.open(f"{self.url}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def servers(
    contestants: Sequence[str], env: Mapping[str, str], directory: Path
) -> Iterator[dict[str, Server]]:
    """Run the API of each contestant; they cost nothing while nobody asks them."""
    started = {name: Server(name, env, directory) for name in contestants}
    try:
        for server in started.values():
            server.wait_until(server.ready)
        yield started
    finally:
        for server in started.values():
            server.stop()


@contextmanager
def worker(
    app: str,
    env: Mapping[str, str],
    directory: Path,
    *,
    concurrency: int = 2,
    options: Sequence[str] = (),
    python: Path | None = None,
) -> Iterator[Running]:
    """Run a Celery worker as Verbatim runs its own."""
    log = directory / f"{app}-{time.monotonic_ns()}.log"
    argv = [
        *(str(python or sys.executable), "-m", "celery", "--quiet", f"--app={app}", "worker"),
        *("--pool=prefork", f"--concurrency={concurrency}", "--loglevel=INFO"),
        *("--without-gossip", "--without-mingle", f"--hostname={log.stem}@bench", *options),
    ]
    process = Running(argv, dict(env) | {"LOG_LEVEL": "INFO"}, log)
    try:
        process.wait_until(lambda: " ready." in log.read_text(errors="replace"))
        yield process
    finally:
        process.stop()
