"""How to start one process and how to ask it to stop."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Settings that are secrets, or contain one: a program has those that it is given, and no others.
SECRETS: Final = frozenset(
    {
        *("DATABASE_URL", "DATABASE_DIRECT_URL", "WORKER_DATABASE_URL", "READ_DATABASE_URL"),
        *("REDIS_URL", "CELERY_BROKER_URL"),
        *("SECRET_KEY", "SECRET_KEY_OTHER", "METRICS_TOKEN", "OPENAI_API_KEY"),
        "OIDC_SHARED_SECRET",
        # Who has not all of these is to have none: half a bucket is refused.
        *("ASSETS_URL", "ASSETS_ENDPOINT", "ASSETS_ACCESS_KEY_ID", "ASSETS_SECRET_ACCESS_KEY"),
        "ASSETS_STORE",
    }
)


@dataclass(frozen=True, slots=True)
class Command:
    """One program, tied to the process that starts it (see `api.local.tether`)."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  #: on top of this process's environment
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0  #: after these, SIGKILL
    orphan_signal: signal.Signals = signal.SIGKILL  #: when the process that started it died
    lock: Path | None = None
    user: str | None = None

    @property
    def tethered(self) -> list[str]:
        """What to execute. The thread that does so must live as long as the program should."""
        return [
            *(sys.executable, "-m", "api.local.tether"),
            self.orphan_signal.name,
            str(self.lock or "-"),
            self.user or "-",
            str(os.getpid()),
            *self.argv,
        ]

    @property
    def environment(self) -> dict[str, str]:
        """Return the program's environment."""
        inherited = {name: value for name, value in os.environ.items() if name not in SECRETS}
        return inherited | dict(self.env)
