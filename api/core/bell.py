"""The doorbell: an empty Celery message that tells workers to drain the log.

One that is lost, doubled or late loses nothing: the data is in the log, and the workers' watchdog
rings for entries that have waited too long. The API rings from a thread, without waiting.
"""

import logging
import queue
import threading
import time
from typing import Final

from celery import Celery

from api.core import broker_urls
from api.core.redis_client import ANSWER_SECONDS, CONNECT_SECONDS
from api.core.settings import Settings

logger = logging.getLogger(__name__)

#: The name of the workers' only task; `api` must not import `workers`. It is older than the word
#: drain, and stays: API and workers of different versions ring each other during an upgrade.
DRAIN_TASK: Final = "persist"
#: Delay before publishing, so that pending HTTP responses go out first: publishing holds the GIL
#: for milliseconds.
RING_DELAY_SECONDS: Final = 0.003
BROKER_HEARTBEAT_SECONDS: Final = 10


def make_celery(settings: Settings) -> Celery:
    """Return the Celery app of API and workers: JSON only, no results, one queue."""
    url, master = broker_urls.of_kombu(settings.broker)
    options: dict[str, object] = {}
    if master or broker_urls.is_redis(url):
        options = {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            # Bounds how long a consumer waits on a half-open connection (kombu 5.7).
            "health_check_interval": 5,
        }
    if master:
        options["master_name"] = master
    app = Celery("verbatim")
    app.conf.update(
        # Not `broker_url`: Celery prefers what the environment has as CELERY_BROKER_URL, and that
        # may lack what we add, such as that a certificate is checked.
        broker_read_url=url,
        broker_write_url=url,
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_default_queue=f"{settings.log_namespace}:doorbell",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=ANSWER_SECONDS,
        # Of RabbitMQ: a connection that is half open is noticed within twice as long.
        broker_heartbeat=BROKER_HEARTBEAT_SECONDS,
        broker_transport_options=options,
        worker_prefetch_multiplier=1,
        task_acks_late=False,
        task_time_limit=60,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
    )
    return app


def ring(app: Celery) -> None:
    """Ring once; blocks. Raises kombu's OperationalError if the broker is unreachable."""
    app.send_task(DRAIN_TASK, ignore_result=True, retry=False)


class Bell:
    """Rings from a thread, off the event loop; while one ring is queued, others are dropped."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._waiting: queue.Queue[bool] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let a queued ring be sent, then end the thread; blocks for 3 seconds at most.

        Does nothing if it was not started: what kept it from that is the error to see.
        """
        if not self._thread.is_alive():
            return
        self._waiting.put(False)
        self._thread.join(timeout=CONNECT_SECONDS + ANSWER_SECONDS)

    def ring(self) -> None:
        """Queue a ring. Never blocks, never fails."""
        try:
            self._waiting.put_nowait(True)
        except queue.Full:
            logger.debug("a ring is queued already")

    def _run(self) -> None:
        while self._waiting.get():
            time.sleep(RING_DELAY_SECONDS)
            try:
                ring(self._app)
            except Exception as error:  # noqa: BLE001 - kombu's transports raise whatever they like
                # The next ring may go; meanwhile the watchdog rings.
                logger.warning("the doorbell did not ring: %s", type(error).__name__)
