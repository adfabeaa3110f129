"""A real API process, started as the product starts its own, to be killed."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx

from tests.support.waiting import eventually

#: A process may take this long to start while other tests run.
START_SECONDS = 180


class ApiProcess:
    """One API process on a port of its own, of the code in a folder: this one, by default."""

    def __init__(self, environment: dict[str, str], code: Path | None = None) -> None:
        self._code = code
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._environment = environment
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "api.main:create_app", "--factory"),
                *("--port", str(self._port), "--no-access-log", "--log-level", "error"),
                *("--http", "api.http.protocol:Connection", "--ws", "none"),
            ],
            env=os.environ | self._environment,
            cwd=self._code,
            stdout=subprocess.DEVNULL,
        )
        eventually(self._answers, within_seconds=START_SECONDS)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz").status_code == 200
        return False
