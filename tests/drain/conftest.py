"""A log, a database and a drain, wired as in a worker process, but inside the test's process."""

from collections.abc import Iterator

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.core import audit
from api.core.bind import open_log
from api.core.settings import Settings
from tests.drain.world import FaultyLog, World


@pytest.fixture
def settings(database_url: str, redis_url: str, namespace: str) -> Settings:
    return Settings(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        log_namespace=namespace,
        tick_ms=1,
    )


@pytest.fixture
def log(redis_client: Redis, namespace: str, engine: Engine) -> FaultyLog:
    log = FaultyLog(redis_client, namespace)
    open_log(log, engine)
    return log


@pytest.fixture
def world(log: FaultyLog, engine: Engine, settings: Settings) -> Iterator[World]:
    """Everything a test of the drain works with. At its end the audit must balance."""
    world = World(log, engine, settings)
    yield world
    assert [balance for balance in audit.audit(log, engine) if not balance.balanced] == []
