"""The write path of one API process, with and without HTTP, on real Redis and PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine, text

from api.core.async_database import AsyncDatabase
from api.core.database import writing
from api.core.settings import Settings
from api.writes.write_path import WritePath
from tests.support.api import ada, anybody, api, eve, start_api

__all__ = ["ada", "anybody", "api", "eve", "start_api"]

OpenPath = Callable[[], AbstractAsyncContextManager[WritePath]]


@pytest.fixture
def settings(database_url: str, redis_url: str, namespace: str) -> Settings:
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        log_namespace=namespace,
        secret_key=SecretStr("x" * 32),
    )


@pytest.fixture
def open_path(settings: Settings, engine: Engine) -> OpenPath:
    """Open the write path inside the test's own event loop."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[WritePath]:
        path = WritePath(settings, engine, AsyncDatabase(engine))
        await path.start()
        try:
            yield path
        finally:
            await path.stop()

    return opened


@pytest.fixture
def owner(engine: Engine) -> int:
    """A user in PostgreSQL."""
    with writing(engine) as session:
        insert = (
            'INSERT INTO "user" (username, email, password_hash) VALUES (:n, :n, :n) RETURNING id'
        )
        return int(session.connection().execute(text(insert), {"n": "ada"}).scalar_one())


@pytest.fixture
def store(engine: Engine) -> Callable[[int, int, list[str], int], None]:
    """Put a conversation with user messages straight into PostgreSQL, as a drain would have."""

    def put(owner: int, conversation: int, contents: list[str], last_id: int) -> None:
        now = datetime.now(UTC)
        with writing(engine) as session:
            session.connection().execute(
                text("INSERT INTO conversation VALUES (:c, :o, NULL, :n, :t, :t, NULL, NULL)"),
                {"c": conversation, "o": owner, "n": len(contents), "t": now},
            )
            for position, content in enumerate(contents, start=1):
                session.connection().execute(
                    text("INSERT INTO message VALUES (:i, :c, :o, :p, 'user', :x, 'stored', :t)"),
                    {"i": conversation + 16 * position, "c": conversation, "o": owner}
                    | {"p": position, "x": content, "t": now},
                )
            session.connection().execute(
                text("UPDATE log_partition SET last_id = :l WHERE id = :p"),
                {"l": last_id, "p": conversation & 15},
            )

    return put


@pytest.fixture
def doorbells(settings: Settings) -> Iterator[Callable[[], int]]:
    """Count the doorbells that wait for a worker."""
    with Redis.from_url(settings.broker) as broker:
        yield lambda: int(broker.llen(f"{settings.log_namespace}:doorbell"))
