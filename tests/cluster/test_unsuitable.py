"""Servers that cannot do what they are set for are refused by name: nothing is accepted."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine
from sqlmodel import select

from api.core import redis_client
from api.core.async_database import AsyncDatabase
from api.core.database import reading
from api.core.errors import Unavailable, UnsuitableRedisError
from api.core.models.drain import DatabaseIdentity
from api.core.settings import Settings
from api.local.redis import EmbeddedRedis
from api.writes.write_path import WritePath
from tests.support.redis_cluster import RedisCluster
from tests.support.waiting import eventually
from workers.process import refuse_to_start

pytestmark = pytest.mark.slow

Set = Callable[..., Settings]


@pytest.fixture
def set_to(database_url: str, namespace: str) -> Set:
    """Settings with these servers for the log and the broker."""

    def made(log: str, broker: str, database_identity: str | None = None) -> Settings:
        return Settings(
            _env_file=None,
            database_url=database_url,
            database_identity=database_identity,
            row_security="unchecked",
            redis_url=log,
            celery_broker_url=broker,
            log_namespace=namespace,
            secret_key=SecretStr("x" * 32),
        )

    return made


def identity_of(engine: Engine) -> str:
    with reading(engine) as session:
        return str(session.exec(select(DatabaseIdentity.id)).one())


async def start(settings: Settings, engine: Engine, *, ready: bool) -> None:
    """Start and stop a write path that is, or is not, ready then."""
    path = WritePath(settings, engine, AsyncDatabase(engine))
    try:
        await path.start()
        assert path.ready is ready
        if path._opening is not None:
            await path._opening  # what its thread has open is closed with the path
    finally:
        await path.stop()


@pytest.mark.parametrize("database", ["0", "1"])
def test_nothing_starts_where_the_broker_is_a_cluster(
    set_to: Set, engine: Engine, redis_url: str, one_shard: RedisCluster, database: str
) -> None:
    settings = set_to(redis_url, f"{one_shard.masters[0].url[:-1]}{database}")

    with pytest.raises(UnsuitableRedisError, match="Celery's broker"):
        asyncio.run(start(settings, engine, ready=False))
    with pytest.raises(UnsuitableRedisError, match="Celery's broker"):
        refuse_to_start(settings)


@pytest.mark.parametrize("database", ["0", "1"])
def test_nothing_starts_where_the_log_would_be_on_a_cluster(
    set_to: Set, engine: Engine, redis_url: str, one_shard: RedisCluster, database: str
) -> None:
    settings = set_to(f"{one_shard.masters[0].url[:-1]}{database}", redis_url)

    with pytest.raises(UnsuitableRedisError, match="REDIS_URL"):
        asyncio.run(start(settings, engine, ready=False))
    with pytest.raises(UnsuitableRedisError, match="REDIS_URL"):
        refuse_to_start(settings)


@contextmanager
def replicating(client: Redis, of: EmbeddedRedis) -> Iterator[None]:
    """Make a server a replica meanwhile."""
    with Redis.from_url(of.url) as primary:
        password = primary.connection_pool.connection_kwargs["password"]
    client.config_set("masterauth", password)
    client.replicaof("127.0.0.1", of.port)
    try:
        eventually(lambda: client.info("replication")["master_link_status"] == "up")
        yield
    finally:
        client.replicaof("NO", "ONE")


def test_a_replica_is_not_ready_until_it_is_the_primary(
    set_to: Set,
    engine: Engine,
    redis_server: EmbeddedRedis,
    start_redis: Callable[[], EmbeddedRedis],
) -> None:
    """Its keys say that the log is open; every write to it would fail."""
    primary, replica = start_redis(), start_redis()
    refuse_to_start(set_to(primary.url, redis_server.url))  # opens the log
    identity = identity_of(engine)
    settings = set_to(replica.url, redis_server.url, identity)

    with Redis.from_url(replica.url) as client:
        with replicating(client, primary):
            asyncio.run(start(settings, engine, ready=False))
            with pytest.raises(Unavailable, match="is a replica"):
                redis_client.check(client, "always")

        asyncio.run(start(settings, engine, ready=True))
