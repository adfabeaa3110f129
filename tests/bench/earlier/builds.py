"""A build in a folder of its own, with servers of its own, that obeys one order at a time."""

import json
import os
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from api.http import fields
from tests.bench.figures import say
from tests.bench.load import LoadError, message_path
from tests.bench.site import Seat

_STAND: Final = Path(__file__).with_name("stand.py")
_STOP_SECONDS: Final = 120.0


def checkout(repository: Path, revision: str) -> Path:
    """Lay a revision out, with what its benchmarks need; once, below `.venv` of this one.

    Raises LoadError where there is no such revision, or it cannot be installed.
    """
    done = _run("git", "-C", str(repository), "rev-parse", "--verify", f"{revision}^{{commit}}")
    folder = repository / ".venv" / "earlier" / done.strip()
    if not (folder / ".venv" / "bench.stamp").exists():
        say(f"earlier: installing {revision}")
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder / "revision.tar"
        _run("git", "-C", str(repository), "archive", f"--output={archive}", done.strip())
        _run("tar", "-x", "-f", str(archive), "-C", str(folder))
        archive.unlink()
        _run("make", "-C", str(folder), ".venv/bench.stamp")
    return folder


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"{' '.join(argv)}: {done.stderr[-2000:]}")
    return done.stdout


class Build(AbstractContextManager["Build"]):
    """Servers, an API that is written to and one that is read from, and a worker of one build."""

    def __init__(self, folder: Path, directory: str) -> None:
        self._log = Path(directory) / "stand.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(folder / ".venv/bench/bin/python"), "-P", str(_STAND), directory],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        hello = self._read()
        self.url: str = hello["url"]
        self.reading_url: str = hello["reading_url"]
        self._worker: int = hello["worker"]
        self.seats = [Seat(*seat) for seat in hello["seats"]]
        self._seats_read = [Seat(*seat) for seat in hello["seats_read"]]
        self.message_paths = [(message_path(seat), seat.token) for seat in self.seats]

    def paths(self, pattern: str) -> list[tuple[str, str]]:
        """Return a path for each conversation to be read, and the token that goes with it.

        `{conversation}` and `{session}` in the pattern are its names.
        """
        return [
            (
                pattern.format(
                    conversation=seat.conversation_id,
                    session=fields.session_id(seat.conversation_id),
                ),
                seat.token,
            )
            for seat in self._seats_read
        ]

    def ask(self, order: str) -> dict[str, float]:
        """Have an order done, and return what it showed. Raises LoadError where the build ended."""
        assert self._process.stdin
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        answer: dict[str, float] = self._read()
        return answer

    def signal_worker(self, number: signal.Signals) -> None:
        """Stop the worker's processes, or let them go on."""
        os.killpg(self._worker, number)

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise LoadError(f"the build ended: {self._log.read_text(errors='replace')[-2000:]}")
        return json.loads(line)

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(_STOP_SECONDS)
