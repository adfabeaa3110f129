"""Real Celery workers, started as the product starts them, to be killed, stopped and frozen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from api.core.settings import Settings
from tests.support.waiting import DEADLINE_SECONDS, eventually


class WorkerProcess:
    """One `celery worker` and its log, of the code in a folder: this one, by default."""

    def __init__(
        self,
        settings: Settings,
        log: Path,
        failpoints: str = "",
        include: str = "",
        code: Path | None = None,
        processes: int = 2,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "--quiet", "--app=workers.app", "worker"),
                    *(
                        f"--concurrency={processes}",
                        "--task-events",
                        "--without-gossip",
                        "--without-mingle",
                    ),
                    *("--loglevel=INFO", f"--hostname={log.stem}@test"),
                    *(("--include", include) if include else ()),
                ],
                env={
                    **os.environ,
                    "DATABASE_URL": settings.database_url or "",
                    "ROW_SECURITY": "unchecked",  # one role, the owner's, for all
                    "REDIS_URL": settings.redis_url or "",
                    "CELERY_BROKER_URL": settings.celery_broker_url or settings.broker,
                    "LOG_NAMESPACE": settings.log_namespace,
                    "VERBATIM_FAILPOINTS": failpoints,
                    "RETENTION_DAYS": str(settings.retention_days),
                },
                cwd=code,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> "WorkerProcess":
        eventually(lambda: self._process.poll() is not None or " ready." in self.said())
        assert self._process.poll() is None, self.said()
        return self

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self) -> list[int]:
        """The pids of its pool processes."""
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in listed.split()]

    def stopped_children(self) -> list[int]:
        return [pid for pid in self.children() if _state(pid) == "T"]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.pid, number)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        return self._process.wait(seconds)

    def end(self) -> None:
        """End it and its children, also if they are stopped."""
        for pid in self.children():
            os.kill(pid, signal.SIGCONT)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""
