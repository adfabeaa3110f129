"""The Celery app of the workers: `celery --app=workers.app worker`."""

import logging
import mmap
import signal
import threading
from typing import Any

from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)
from redis.exceptions import RedisError

from api.core import garbage_collector
from api.core.bell import make_celery, ring
from api.core.errors import (
    SettingsError,
    Unavailable,
    UnsafeRedisError,
    UnsafeRoleError,
    UnsuitableBrokerError,
    WrongDatabaseError,
)
from api.core.failures import describe
from api.core.log_lines import capture_warnings, formatter
from api.core.settings import load
from workers.process import Process, refuse_to_start
from workers.watchdog import Watchdog

logger = logging.getLogger(__name__)

try:
    settings = load()
    app = make_celery(settings)
except SettingsError as reason:
    raise SystemExit(f"the worker does not start: {reason}") from None
if settings.log_format == "json":
    capture_warnings()
app.conf.update(include=["workers.tasks"], worker_concurrency=2)
app.steps["worker"].add(Watchdog)

#: One byte that the main process shares with its children: not 0 once the worker shuts down.
_shutting_down = mmap.mmap(-1, 1)
#: Set by a SIGTERM to this process while it drains.
_terminated = threading.Event()
#: This process's drain, once it is made.
_processes: list[Process] = []


def drain() -> dict[str, int]:
    """Run this process's drain."""
    # Set here, because billiard sets its own handlers after `worker_process_init`. A signal to the
    # whole process group must not end a batch half-way; the main process ends this one afterwards.
    _terminated.clear()
    before = signal.signal(signal.SIGTERM, lambda *_: _terminated.set())
    try:
        return _process().run()
    finally:
        signal.signal(signal.SIGTERM, before)


def _process() -> Process:
    if not _processes:
        _processes.append(Process(settings, lambda: ring(app), _should_stop))
    return _processes[0]


def _should_stop() -> bool:
    return _terminated.is_set() or _shutting_down[0] != 0


@after_setup_logger.connect
@after_setup_task_logger.connect
def _write_json(logger: logging.Logger, **_: Any) -> None:
    """Have Celery's handlers write JSON where settings say so; its own lines are text."""
    if settings.log_format == "json":
        for handler in logger.handlers:
            handler.setFormatter(formatter("json"))


@worker_init.connect
def _check_servers(**_: Any) -> None:
    """Refuse to start on another database's log, or on a Redis that may lose what it accepted."""
    try:
        refuse_to_start(settings)
    except (
        UnsafeRedisError,
        UnsafeRoleError,
        UnsuitableBrokerError,
        WrongDatabaseError,
        SettingsError,
    ) as error:
        raise SystemExit(f"the worker does not start: {error}") from None
    except (Unavailable, RedisError) as error:
        # Each process checks again at its first drain.
        logger.warning("the worker starts, but a server does not answer: %s", describe(error))


@worker_process_init.connect
def _start_process(**_: Any) -> None:
    _process()
    garbage_collector.quieten()


@worker_process_shutdown.connect
def _close_process(**_: Any) -> None:
    for process in _processes:
        process.close()


@worker_shutting_down.connect
def _tell_children(**_: Any) -> None:
    _shutting_down[0] = 1
