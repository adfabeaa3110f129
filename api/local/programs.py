"""The three Python programs of a stack: API, worker, Flower. Each is probed over HTTP."""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

from pydantic import SecretStr

from api.core.settings import Settings
from api.local import locks
from api.local.addresses import LOOPBACK, base_url, client_url
from api.local.command import Command
from api.local.errors import LocalError

PROBE_SECONDS = 5.0


class PythonProgram(ABC):
    """A Python program of Verbatim, with those of the stack's secrets that it needs."""

    name: str
    stop_seconds: ClassVar[float] = 15.0

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = settings.verbatim_data_dir.absolute() / f"{self.name}.lock"
        #: The worker's name in Celery; two stacks may share a broker.
        self._node = f"verbatim-{settings.port}@{socket.gethostname()}"

    def prepare(self) -> None:
        """End one that a killed stack left behind; Linux ends it with its parent."""
        locks.end_holder(self._lock)

    @abstractmethod
    def env(self) -> Mapping[str, str | None]:
        """Return what it needs in its environment; None for what is not set."""

    @abstractmethod
    def command(self) -> Command:
        """Return how to start it."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it serves now."""

    def _python(self, *arguments: str, **settings: str) -> Command:
        known = {name: value for name, value in self.env().items() if value is not None}
        return Command(
            [sys.executable, "-m", *arguments],
            env=settings | known,
            stop_seconds=self.stop_seconds,
            lock=self._lock,
        )


class Api(PythonProgram):
    """The API, in API_PROCESSES processes."""

    name = "api"

    def env(self) -> Mapping[str, str | None]:
        """The API's own role of the database, and all that it signs, rings and asks with."""
        known = self._settings
        return {
            "DATABASE_URL": known.database_url,
            "READ_DATABASE_URL": known.read_database_url,
            "REDIS_URL": known.redis,
            "CELERY_BROKER_URL": known.celery_broker_url,
            "SECRET_KEY": known.signing_key,
            "SECRET_KEY_OTHER": _revealed(known.secret_key_other),
            "OIDC_SHARED_SECRET": _revealed(known.oidc_shared_secret),
            "METRICS_TOKEN": _revealed(known.metrics_token),
            "OPENAI_API_KEY": _revealed(known.openai_api_key),
            **_bucket(known),
        }

    def command(self) -> Command:
        """Serve; where to, the stack may have decided."""
        return self._python(
            "api.local.serve",
            HOST=self._settings.host,
            PORT=str(self._settings.port),
            API_PROCESSES=str(self._settings.api_processes),
            LOG_LEVEL=self._settings.log_level,
        )

    def answers(self) -> bool:
        """Return whether it takes messages."""
        return _get(f"{client_url(self._settings.host, self._settings.port)}/readyz") is not None


class Worker(PythonProgram):
    """The Celery worker that drains the log."""

    name = "worker"

    def env(self) -> Mapping[str, str | None]:
        """The worker's own role of the database, Redis, and the bucket of files."""
        known = self._settings
        return {
            "WORKER_DATABASE_URL": known.worker_database_url or known.database_url,
            "REDIS_URL": known.redis,
            "CELERY_BROKER_URL": known.celery_broker_url,
            **_bucket(known),
        }

    def command(self) -> Command:
        """Run a worker. SIGTERM lets it finish its batch."""
        return self._python(
            *("celery", "--quiet", "--app=workers.app", "worker", f"--hostname={self._node}"),
            *("--pool=prefork", "--concurrency=2", "--prefetch-multiplier=1"),
            *("--task-events", "--without-gossip", "--without-mingle"),
            f"--loglevel={self._settings.log_level}",
        )

    def answers(self) -> bool:
        """Return whether it consumes: Flower asks it, through the broker."""
        workers = f"{base_url(LOOPBACK, self._settings.flower_port)}/api/workers"
        # Its heartbeat first: Flower waits for a worker that is not there, and complains.
        alive = json.loads(_get(f"{workers}?status=1") or "{}").get(self._node)
        if not alive:
            return False
        body = _get(f"{workers}?refresh=1&workername={self._node}")
        return bool(json.loads(body or "{}").get(self._node, {}).get("active_queues"))


class Flower(PythonProgram):
    """Celery's dashboard. It has no password: it listens on loopback, and only shows."""

    name = "flower"
    stop_seconds = 5.0

    def env(self) -> Mapping[str, str | None]:
        """The broker; and the JSON API open, which `Worker.answers` asks."""
        return {"CELERY_BROKER_URL": self._settings.broker, "FLOWER_UNAUTHENTICATED_API": "1"}

    def prepare(self) -> None:
        """Refuse an environment that asks for a dashboard without a password on a network."""
        if os.environ.get("FLOWER_ADDRESS", LOOPBACK) != LOOPBACK:
            raise LocalError(
                "FLOWER_ADDRESS is set, but this Flower has no password and stays on 127.0.0.1; "
                "unset it, and run a Flower of your own for others"
            )
        super().prepare()

    def command(self) -> Command:
        """Run Flower behind the checks of `api.local.dashboard`."""
        return self._python(
            *("api.local.dashboard", "--quiet", "--app=workers.app", "flower"),
            *(f"--address={LOOPBACK}", f"--port={self._settings.flower_port}", "--read-only"),
        )

    def answers(self) -> bool:
        """Return whether it serves pages."""
        return _get(f"{base_url(LOOPBACK, self._settings.flower_port)}/healthcheck") is not None


def _bucket(known: Settings) -> dict[str, str | None]:
    return {
        "ASSETS_URL": known.assets_url,
        "ASSETS_ENDPOINT": known.assets_endpoint,
        "ASSETS_ACCESS_KEY_ID": _revealed(known.assets_access_key_id),
        "ASSETS_SECRET_ACCESS_KEY": _revealed(known.assets_secret_access_key),
        "ASSETS_STORE": known.assets_store,
    }


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _get(url: str) -> bytes | None:
    """Return the body of a 200, else None. No proxy: we only ask this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PROBE_SECONDS) as response:
            return bytes(response.read()) if response.status == HTTPStatus.OK else None
    except (urllib.error.URLError, OSError):
        return None
