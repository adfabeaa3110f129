"""PostgreSQL and Redis killed under load, the broker frozen: workers recover on their own."""

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from api.core import database
from api.core.accept_requests import AcceptRequest
from api.core.audit import audit
from api.core.bind import open_log
from api.core.settings import Settings
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.drain.processes import WorkerProcess
from tests.drain.world import LIMITS, NEVER_LATE, Conversation, FaultyLog, World
from tests.support.servers import fresh_database
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

CONVERSATIONS = 6


class Client(threading.Thread):
    """Adds one number after the other to each conversation; repeats a request without an answer."""

    def __init__(self, world: World, conversations: list[Conversation]) -> None:
        super().__init__(daemon=True)
        self._world = world
        self._conversations = conversations
        self._over = threading.Event()
        self.said = 0

    def run(self) -> None:
        while not self._over.is_set():
            for conversation in self._conversations:
                self._say(conversation, str(self.said))
            self.said += 1

    def finish(self) -> list[str]:
        self._over.set()
        self.join(60)
        return [str(n) for n in range(self.said)]

    def _say(self, to: Conversation, content: str) -> None:
        request = AcceptRequest(
            "add", to.owner, "message", to.id, "user", data=content.encode(), key=f"k{content}"
        )
        while True:
            try:
                (answer,) = self._world.log.accept(LIMITS, NEVER_LATE, [request]).results
            except (RedisError, OSError):
                time.sleep(0.05)
                continue
            assert answer.status in {"ok", "replay"}
            return


@contextmanager
def stack(
    postgres: EmbeddedPostgres, redis: EmbeddedRedis, broker: EmbeddedRedis, log: Path
) -> Iterator[tuple[World, WorkerProcess]]:
    """A database, a log and two workers."""
    settings = Settings(
        database_url=fresh_database(postgres),
        redis_url=redis.url,
        celery_broker_url=broker.url[:-1] + "1",
        log_namespace=f"test-{secrets.token_hex(4)}",
    )
    engine = database.make_engine(settings.database, application_name="verbatim-test")
    with Redis.from_url(redis.url, socket_timeout=2) as client:
        faulty = FaultyLog(client, settings.log_namespace)
        open_log(faulty, engine)
        world = World(faulty, engine, settings)
        workers = [WorkerProcess(settings, log / f"worker{n}.log") for n in range(2)]
        try:
            for worker in workers:
                worker.wait_until_ready()
            yield world, workers[0]
        finally:
            for worker in workers:
                worker.end()
            engine.dispose()


def survives(world: World, fault: Callable[[], None]) -> None:
    """Load, a fault, more load; then every message is stored once and in order."""
    conversations = [world.open(world.user(), partition=n) for n in range(CONVERSATIONS)]
    client = Client(world, conversations)
    client.start()
    eventually(lambda: client.said > 20)

    fault()

    after = client.said
    eventually(lambda: client.said > after + 20)
    said = client.finish()
    eventually(lambda: world.backlog() == 0)
    assert [world.contents(conversation) for conversation in conversations] == [said] * len(
        conversations
    )
    assert world.dead() == []
    assert all(books.balanced for books in audit(world.log, world.engine))


def test_postgresql_killed_and_started_again(
    start_postgres: Callable[[], EmbeddedPostgres], redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    postgres = start_postgres()
    with stack(postgres, redis_server, redis_server, tmp_path) as (world, _):

        def fault() -> None:
            postgres.kill()
            time.sleep(3)
            postgres.start()
            world.engine.dispose()

        survives(world, fault)


def test_redis_killed_and_started_again(
    postgres_server: EmbeddedPostgres, start_redis: Callable[[], EmbeddedRedis], tmp_path: Path
) -> None:
    redis = start_redis()
    with stack(postgres_server, redis, redis, tmp_path) as (world, _):

        def fault() -> None:
            redis.kill()
            time.sleep(3)
            redis.start()

        survives(world, fault)


def test_a_frozen_broker_only_delays(
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
    start_redis: Callable[[], EmbeddedRedis],
    tmp_path: Path,
) -> None:
    broker = start_redis()
    with (
        stack(postgres_server, redis_server, broker, tmp_path) as (world, worker),
        Redis.from_url(broker.url) as client,
    ):
        pid = client.info("server")["process_id"]

        def fault() -> None:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(10)
            os.kill(pid, signal.SIGCONT)

        survives(world, fault)
        assert "the worker ends" not in worker.said()
