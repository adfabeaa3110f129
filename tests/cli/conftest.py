from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.core.bind import open_log
from api.core.log import Log


@pytest.fixture
def stack(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    namespace: str,
) -> None:
    """The test's own database and log, as the command line finds them: in the environment."""
    monkeypatch.chdir(tmp_path)  # no .env of the checkout
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("LOG_NAMESPACE", namespace)


@pytest.fixture
def log(stack: None, redis_client: Redis, namespace: str, engine: Engine) -> Log:
    """The open log of that stack."""
    opened = Log(redis_client, namespace)
    open_log(opened, engine)
    return opened
