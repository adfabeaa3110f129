"""Whole stacks, started as `make run` starts them and watched from outside."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api.local import data_dir
from tests.support.processes import commands, using
from tests.support.waiting import eventually

#: Of a machine that runs other tests at the same time.
START_SECONDS = 180.0
#: Of one answer on such a machine.
ANSWER_SECONDS = 60.0
#: Twice what all programs together may take until they are killed.
STOP_SECONDS = 120.0

#: As a shell starts `make run &`: SIGINT is ignored.
BACKGROUND = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")


class RunningStack:
    """One `python -m api.local` with its own data directory and ports."""

    def __init__(self, data: Path, **env: str) -> None:
        self.data = data
        self.port, self.flower_port = data_dir.free_port(), data_dir.free_port()
        self.log = data.with_name(f"{data.name}-{self.port}.log")
        settings = {
            "VERBATIM_DATA_DIR": str(data),
            "PORT": str(self.port),
            "FLOWER_PORT": str(self.flower_port),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*BACKGROUND, sys.executable, "-m", "api.local"],
                env=os.environ | settings | env,
                stdout=log,
                stderr=subprocess.STDOUT,
                # As a shell does, and not as this test run does for itself.
                start_new_session=True,
            )

    def log_of(self, name: str) -> str:
        """Return what one of the processes has logged."""
        return (self.data / "logs" / f"{name}.log").read_text(errors="replace")

    def lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()

    def wait_until_ready(self) -> None:
        ready = f"ready http://127.0.0.1:{self.port}"
        eventually(
            lambda: ready in self.lines() or self.process.poll() is not None,
            within_seconds=START_SECONDS,
            otherwise=self.log.read_text,
        )
        assert self.process.poll() is None, self.log.read_text()

    def get(self, path: str, port: int | None = None, token: str = "") -> Any:
        """Return the JSON at a path, or None where nobody answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.port}{path}",
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                return json.load(response)
        except OSError:
            return None

    def post(self, path: str, body: dict[str, str], token: str = "") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            return json.load(response)

    def consuming_worker(self) -> int | None:
        """Return the pid of the worker that answers through the broker, None where none does."""
        node = f"verbatim-{self.port}@{socket.gethostname()}"
        workers = self.get(f"/api/workers?refresh=1&workername={node}", self.flower_port) or {}
        pid = workers.get(node, {}).get("stats", {}).get("pid")
        return int(pid) if pid else None

    def pid_of(self, name: str) -> int:
        """Return the pid of a program or server, as its lock tells it."""
        lock = {"postgres": "postgres/server.lock", "redis": "redis/server.lock"}
        return int((self.data / lock.get(name, f"{name}.lock")).read_text())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it as a terminal or a service manager would; return the exit code."""
        self.process.send_signal(number)
        eventually(
            lambda: self.process.poll() is not None,
            within_seconds=STOP_SECONDS,
            otherwise=self.unfinished,
        )
        return self.process.wait()

    def unfinished(self) -> str:
        """Return what still runs, and what each program logged last."""
        logs = sorted((self.data / "logs").glob("*.log"))
        ends = [f"{log.stem}: {self.log_of(log.stem)[-1_000:]}" for log in logs]
        return "\n".join([*commands(using(self.data)), *self.lines(), *ends])


@contextmanager
def running_stack(data: Path, **env: str) -> Iterator[RunningStack]:
    """Start a stack, wait until it is ready, and stop it whatever happens."""
    stack = RunningStack(data, **env)
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.stop()
        eventually(lambda: not using(data), otherwise=lambda: using(data))
