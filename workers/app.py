"""The Celery app of the workers: `celery --app=workers.app worker`."""

import gc
import logging
import mmap
import os
import signal
import threading
from types import FrameType
from typing import Any, Final

from celery.signals import (
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)
from redis.exceptions import RedisError

from api.core.bell import make_celery, ring
from api.core.errors import SettingsError, Unavailable, UnsafeRedisError, WrongDatabaseError
from api.core.settings import Settings
from workers.failures import describe
from workers.process import Process, refuse_to_start
from workers.watch import Watch

logger = logging.getLogger(__name__)

#: Collections of everything pause whatever runs; what is there after the start stays for good.
_GC_THRESHOLDS: Final = (50_000, 20, 50)

settings = Settings()
app = make_celery(settings)
app.conf.update(include=["workers.tasks"], worker_concurrency=2)
app.steps["worker"].add(Watch)

#: One byte that the main process shares with its children: set once the worker shuts down.
_leaving = mmap.mmap(-1, 1)
#: This process alone: it was told to end.
_told = threading.Event()
_draining = threading.Event()
_processes: list[Process] = []


def drain() -> dict[str, int]:
    """Run this process's drain."""
    _draining.set()
    try:
        return _process().run()
    finally:
        _draining.clear()


def _process() -> Process:
    if not _processes:
        _processes.append(Process(settings, lambda: ring(app), _should_stop))
    return _processes[0]


def _should_stop() -> bool:
    return _told.is_set() or _leaving[0] != 0


@worker_init.connect
def _check_servers(**_: Any) -> None:
    """Refuse to start on a log that is not ours, or on a Redis that does not keep it."""
    try:
        refuse_to_start(settings)
    except (UnsafeRedisError, WrongDatabaseError, SettingsError) as error:
        raise SystemExit(f"the worker does not start: {error}") from None
    except (Unavailable, RedisError) as error:
        # Each process checks again at its first drain.
        logger.warning("the worker starts though a server is away: %s", describe(error))


@worker_process_init.connect
def _start_process(**_: Any) -> None:
    signal.signal(signal.SIGTERM, _on_sigterm)
    _process()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


@worker_process_shutdown.connect
def _close_process(**_: Any) -> None:
    for process in _processes:
        process.close()


@worker_shutting_down.connect
def _tell_children(**_: Any) -> None:
    _leaving[0] = 1


def _on_sigterm(signum: int, _frame: FrameType | None) -> None:
    """Leave after the batch in hand; at once when there is none (a group may be signalled)."""
    _told.set()
    if not _draining.is_set():
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)
