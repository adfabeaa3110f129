"""The watchdog: rings for entries that do not move, and ends a worker that hears no doorbell.

It also says every few seconds that its worker is there, for `/readyz` and the metrics.

A bootstep of the *worker*, with a thread of its own in each worker's main process. As a step of the
consumer it would stop together with the consumer's timer while the broker is lost or frozen. It
asks Redis only: an idle serverless PostgreSQL may sleep.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from celery import bootsteps
from celery.worker import WorkController, state
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from api.core import bell, broker, redis_client
from api.core.failures import describe
from api.core.log import RETENTION_SECONDS, Log
from api.core.settings import load

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 1.0
#: How often a worker says that it is there. Redis writes that to its disk.
PRESENT_SECONDS: Final = 5.0
#: If no entry has moved for this long, the watchdog rings, even while the bell is set.
STALL_SECONDS: Final = 2.0
#: A worker is deaf after this many rings over this long, if no drain started anywhere.
DEAF_RINGS: Final = 3
DEAF_SECONDS: Final = 30.0
#: A deaf worker may also be unable to shut down: it is killed after this long.
EXIT_SECONDS: Final = 10.0
EXIT_CODE: Final = 70


@dataclass(slots=True)
class StallDetector:
    """Decides when to ring, and when the worker is deaf. Times are of one monotonic clock."""

    _heads: dict[int, int] = field(default_factory=dict)
    _still_since: float = 0.0
    _starts: int | None = None
    _rings: int = 0
    _first_ring: float = 0.0

    def is_ring_due(self, now: float, heads: dict[int, int]) -> bool:
        """Return whether there are entries (partition → oldest id), and none moved for long."""
        moved = any(heads.get(partition) != first for partition, first in self._heads.items())
        if moved or not self._heads:
            self._still_since = now
        self._heads = heads
        return bool(heads) and now - self._still_since >= STALL_SECONDS

    def note_ring(self, now: float, starts: int) -> None:
        """Note a ring, and how many drains had ever started before it."""
        self._still_since = now
        if starts != self._starts:
            self._starts, self._rings, self._first_ring = starts, 0, now
        self._rings += 1

    def is_deaf(self, now: float) -> bool:
        """Return whether the rings so far started no drain anywhere."""
        return self._rings >= DEAF_RINGS and now - self._first_ring >= DEAF_SECONDS


@dataclass(slots=True)
class HourlyRing:
    """Decides when to ring though nothing is in the log.

    At a worker's start, for what others left undone; each hour where a drain is to look for old
    conversations (`workers.retention`).
    """

    is_hourly: bool
    _rang_at: float | None = None

    def is_due(self, now: float) -> bool:
        """Return whether there was no ring yet, or the last one was an hour ago."""
        if self._rang_at is None:
            return True
        return self.is_hourly and now - self._rang_at >= RETENTION_SECONDS

    def note_ring(self, now: float) -> None:
        """Note a ring."""
        self._rang_at = now


class Watchdog(bootsteps.StartStopStep):
    """Checks once a second whether the entries of the log move."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: WorkController, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        settings = load()
        self._log = Log(redis_client.connect(settings, "verbatim-watchdog"), settings.log_namespace)
        self._keep_ms = settings.log_keep_seconds * 1000
        self._app = parent.app
        self._hourly = HourlyRing(is_hourly=settings.retention_days > 0)
        self._stall = StallDetector()
        self._name = str(parent.hostname)  # type: ignore[attr-defined] # the stubs forget it
        self._present_at = -PRESENT_SECONDS
        self._seen = {"backlog": 0, "oldest_ms": 0}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self, _parent: WorkController) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, _parent: WorkController) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join(timeout=CHECK_SECONDS)

    def info(  # type: ignore[override] # the stubs forget what the docs show: a dictionary
        self, _obj: WorkController
    ) -> dict[str, dict[str, int]]:
        """Return what Flower's worker page shows of the log."""
        return {"verbatim": self._seen}

    def _run(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            try:
                self._check(time.monotonic())
            except (RedisError, OperationalError, OSError) as error:
                logger.warning("the watchdog cannot see the log: %s", type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the watchdog must go on in any case
                logger.error("the watchdog failed: %s", describe(error))  # noqa: TRY400 - no text

    def _check(self, now: float) -> None:
        if self._hourly.is_due(now):
            bell.ring(self._app)
            self._hourly.note_ring(now)
        if now - self._present_at >= PRESENT_SECONDS:
            self._log.present(self._name)
            self._present_at = now
            if self._log.take_undone():
                bell.ring(self._app)
        heads = self._log.heads(self._keep_ms)
        status = self._log.status()
        self._seen = {"backlog": status.entries, "oldest_ms": status.oldest_age_ms}
        if not self._stall.is_ring_due(now, {head.partition: head.first_id for head in heads}):
            return
        self._stall.note_ring(now, self._log.starts())
        if self._stall.is_deaf(now) and broker.answers(self._app):
            self._exit()
        if status.entries:
            logger.warning("no entry moves: ringing for %d entries", status.entries)
        bell.ring(self._app)

    def _exit(self) -> None:
        """End this worker, so that its supervisor starts one that hears."""
        logger.critical("doorbells are not heard: the worker ends")
        state.should_stop = EXIT_CODE  # type: ignore[assignment] # an exit code, once set
        self._stopped.wait(EXIT_SECONDS)
        os._exit(EXIT_CODE)
