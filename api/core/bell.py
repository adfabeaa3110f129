"""The doorbell: Celery as both processes see it, and how the API rings without waiting.

A doorbell carries nothing. One that is lost, doubled or late changes nothing: the log is the data,
and the workers' watchdog rings for entries that no doorbell was heard for.
"""

import logging
import queue
import threading
import time
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError

from api.core.redis_client import ANSWER_SECONDS, CONNECT_SECONDS
from api.core.settings import Settings

logger = logging.getLogger(__name__)

#: The one task, rung by name: `api` never imports `workers`. The name is older than the word drain;
#: it stays, because API and workers of different versions ring each other during an upgrade.
DRAIN_TASK: Final = "persist"
#: Whoever waits for an answer goes first: to ring takes the interpreter for milliseconds.
HEAD_START_SECONDS: Final = 0.003


def make_celery(settings: Settings) -> Celery:
    """Make the Celery app that API and workers share: JSON only, no results, one queue."""
    app = Celery("verbatim", broker=settings.broker)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_default_queue=f"{settings.log_namespace}:doorbell",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            # Bounds how long a consumer sits on a half-open connection (kombu 5.7).
            "health_check_interval": 5,
        },
        worker_prefetch_multiplier=1,
        task_acks_late=False,
        task_time_limit=60,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
    )
    return app


def ring(app: Celery) -> None:
    """Ring once, waiting for the broker. Raises kombu's OperationalError if it is out of reach."""
    app.send_task(DRAIN_TASK, ignore_result=True, retry=False)


class Bell:
    """Rings from a thread of its own, off the event loop; while one waits, more are dropped."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._waiting: queue.Queue[bool] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ring what waits, then end the thread."""
        self._waiting.put(False)
        self._thread.join(timeout=CONNECT_SECONDS + ANSWER_SECONDS)

    def ring(self) -> None:
        """Have it ring soon. Never waits, never fails."""
        try:
            self._waiting.put_nowait(True)
        except queue.Full:
            logger.debug("a doorbell waits already")

    def _run(self) -> None:
        while self._waiting.get():
            time.sleep(HEAD_START_SECONDS)
            try:
                ring(self._app)
            except (OperationalError, OSError) as error:
                # The watchdog will ring for what is in the log.
                logger.warning("the doorbell did not ring: %s", type(error).__name__)
