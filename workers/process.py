"""What one worker process opens: its engine, its Redis client, its drain.

Opened after the fork, never shared, closed at the end. It connects at the first ring, so that a
worker starts while PostgreSQL or Redis does not answer yet.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine

from api.core import broker, redis_client, tracing
from api.core.bell import make_celery
from api.core.bind import open_log
from api.core.bucket import Bucket
from api.core.database import make_engine
from api.core.log import Log
from api.core.settings import Settings
from workers.drain import Drain
from workers.leftovers import ANSWER_SECONDS
from workers.orphans import Orphans
from workers.retention import Retention
from workers.self_audit import SelfAudit

#: One for the batch, and one for `open_log`, which a batch may need.
POOL_SIZE: Final = 2


class Process:
    """One worker process and its drain."""

    def __init__(
        self, settings: Settings, ring: Callable[[], None], should_stop: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._checked = False
        self._engine = _engine(settings)
        self._redis = redis_client.connect(settings, "verbatim-worker")
        log = Log(self._redis, settings.log_namespace)
        self._ring = ring
        self._drain = Drain(log, self._engine, settings, ring, should_stop)
        self._retention = Retention(log, self._engine, settings, should_stop)
        self._self_audit = SelfAudit(log, self._engine)
        bucket = Bucket.of(settings, answer_seconds=ANSWER_SECONDS)
        self._orphans = Orphans(log, self._engine, bucket, should_stop)

    def run(self) -> dict[str, int]:
        """Run the drain once, and return what it did.

        Twice a minute the books are audited, once an hour old conversations and files that no
        message names are deleted.

        Raises UnsafeRedisError or WrongDatabaseError if it must not run, DrainFailedError if it
        failed.
        """
        if not self._checked:
            redis_client.check_all(self._redis, self._settings.redis_durability)
            self._checked = True
        done = self._drain.run()
        self._self_audit.run()
        self._orphans.run()
        if expired := self._retention.run():
            self._ring()
        return done | {"expired": expired}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        self._engine.dispose()
        tracing.close("verbatim-worker")


def refuse_to_start(settings: Settings) -> None:
    """Check the servers at the start of a worker, where an operator sees the error.

    Raises UnsafeRedisError, UnsafeRoleError, WrongDatabaseError or UnsuitableBrokerError. Raises
    Unavailable or RedisError if a server does not answer, which is no reason not to start.
    """
    engine = _engine(settings)
    try:
        with redis_client.connect(settings, "verbatim-worker-start") as redis:
            redis_client.check_all(redis, settings.redis_durability)
            redis_client.check_broker(settings.broker)
            open_log(Log(redis, settings.log_namespace), engine)
    finally:
        engine.dispose()
    with make_celery(settings) as app:
        broker.connect(app)


def _engine(settings: Settings) -> Engine:
    return make_engine(
        settings.worker_database,
        application_name="verbatim-worker",
        pool_size=POOL_SIZE,
        role="verbatim_worker" if settings.row_security == "enforced" else None,
    )
