"""The write path when Redis or PostgreSQL is gone, slow, or answers too late."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from api.core import ids
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.database import make_engine
from api.core.errors import Unavailable, WrongDatabaseError
from api.core.ids import ALL_PARTITIONS
from api.core.settings import Settings
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from api.writes.group_commit import GroupCommit
from api.writes.write_path import WritePath
from tests.support.servers import fresh_database

pytestmark = pytest.mark.slow

ANOTHER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def own_redis(start_redis: Callable[[], EmbeddedRedis]) -> EmbeddedRedis:
    return start_redis()


@pytest.fixture(scope="module")
def own_postgres(start_postgres: Callable[[], EmbeddedPostgres]) -> EmbeddedPostgres:
    return start_postgres()


@pytest.fixture(scope="module")
def own_settings(own_redis: EmbeddedRedis, own_postgres: EmbeddedPostgres) -> Settings:
    return Settings(
        database_url=fresh_database(own_postgres),
        redis_url=own_redis.url,
        secret_key=SecretStr("x" * 32),
    )


@contextmanager
def frozen(server: EmbeddedRedis) -> Iterator[None]:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[WritePath]:
    engine = make_engine(settings.database, application_name="verbatim-test")
    path = WritePath(settings, engine, AsyncDatabase(engine))
    await path.start()
    try:
        yield path
    finally:
        await path.stop()
        engine.dispose()


async def until_ready(path: WritePath) -> None:
    while not path.ready:  # noqa: ASYNC110 - a test polls
        await asyncio.sleep(0.02)


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_killed_redis_refuses_at_once_and_heals_alone(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            kept = (await path.accept.open(Caller(1), "kept", None)).id
            own_redis.kill()
            with pytest.raises(Unavailable):
                await path.accept.open(Caller(1), "refused", None)
            assert not path.ready
            own_redis.start()
            await until_ready(path)
            await path.accept.open(Caller(1), "later", None)

            status = path.log.status()
            found = path.log.read([ids.partition_of(kept)], 100, 10**6)[ids.partition_of(kept)]
            assert kept in {entry.id for entry in found}
            assert status.entries >= 2

    run(scenario)


def test_an_unknown_outcome_is_made_one_by_its_key(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            # Answered after the bell of the first one was spread: nothing is on its way to Redis.
            await path.accept.add(Caller(1), conversation, "user", "first", None)
            before = path.log.status().entries
            with frozen(own_redis), pytest.raises(Unavailable, match="outcome is unknown"):
                await path.accept.add(Caller(1), conversation, "user", "once", "key")
            await until_ready(path)
            first = await path.accept.add(Caller(1), conversation, "user", "once", "key")
            second = await path.accept.add(Caller(1), conversation, "user", "once", "key")

            assert second.id == first.id
            # What timed out here had passed its deadline when Redis woke, or was accepted once.
            assert path.log.status().entries == before + 1

    run(scenario)


def test_a_late_answer_never_reaches_another_request(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            mine = (await path.accept.open(Caller(1), None, None)).id
            theirs = (await path.accept.open(Caller(2), None, None)).id
            with frozen(own_redis), pytest.raises(Unavailable):
                await path.accept.begin_turn(Caller(1), mine, "a secret of user 1", None)
            await until_ready(path)
            for _ in range(5):
                turn = await path.accept.begin_turn(Caller(2), theirs, "hello", None)
                assert all("secret" not in message.content for message in turn.recent)

    run(scenario)


def test_too_many_waiting_requests_are_refused_at_once(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            with frozen(own_redis):
                answers = await asyncio.gather(
                    *(path.accept.open(Caller(1), None, None) for _ in range(3_000)),
                    return_exceptions=True,
                )
            refused = [str(answer) for answer in answers if isinstance(answer, Unavailable)]
            assert len(refused) == 3_000
            assert sum("too many requests wait" in detail for detail in refused) >= 900

    run(scenario)


def test_chat_goes_on_while_postgresql_is_down(
    own_postgres: EmbeddedPostgres, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            turn = await path.accept.begin_turn(Caller(1), conversation, "one", None)
            await path.accept.reply(turn.name, "two")
            own_postgres.kill()
            try:
                warm = await path.accept.begin_turn(Caller(1), conversation, "three", None)
                with Redis.from_url(own_settings.redis) as redis:
                    redis.delete(path.log.key(conversation, f"turns:{conversation}"))
                cold = await path.accept.begin_turn(Caller(1), conversation, "four", None)
                with pytest.raises(Unavailable, match="database"):
                    await path.accept.add(Caller(1), 4096, "user", "whose?", None)
            finally:
                own_postgres.start()
            assert [message.content for message in warm.recent] == ["one", "two"]
            assert cold.recent == []

    run(scenario)


def test_a_clock_that_was_set_back_or_forth_refuses_nothing(own_settings: Settings) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            for hours in (-1, 1):
                assert isinstance(path._commits, GroupCommit)
                path._commits._connection._clock_offset_ms += hours * 3_600_000
                await path.accept.open(Caller(1), None, None)

    run(scenario)


def test_stopping_answers_what_waits(own_settings: Settings) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            waiting = [
                asyncio.create_task(path.accept.open(Caller(1), None, None)) for _ in range(300)
            ]
            await asyncio.sleep(0)
            await path.stop()
            answers = await asyncio.gather(*waiting)
            assert len({answer.id for answer in answers}) == 300
            with pytest.raises(Unavailable, match="stopping"):
                await path.accept.open(Caller(1), None, None)

    run(scenario)


def test_stopping_answers_all_that_waits_for_a_redis_that_does_not_answer(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    """As a group commit does whose master has gone: its clients must not wait for ever."""

    async def scenario() -> None:
        async with started(own_settings) as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            commits: Any = path.accept._commits
            with frozen(own_redis):
                while not commits._is_heartbeat_due:  # noqa: ASYNC110 - a test polls
                    await asyncio.sleep(0.01)
                # More than one call takes.
                waiting = [
                    asyncio.create_task(
                        path.accept.add(Caller(1), conversation, "user", "x" * 90_000, None)
                    )
                    for _ in range(60)
                ]
                await asyncio.sleep(0)
                await path.stop()
                answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(answer) for answer in answers} == {Unavailable}

    run(scenario)


def test_a_process_that_never_learned_its_database_takes_nothing_until_it_has(
    own_postgres: EmbeddedPostgres, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            own_postgres.kill()
            try:
                path = await stack.enter_async_context(started(own_settings))
                with pytest.raises(Unavailable, match="not open yet"):
                    await path.accept.open(Caller(1), None, None)
                assert not path.ready
            finally:
                own_postgres.start()
            await until_ready(path)
            await path.accept.open(Caller(1), None, None)

    run(scenario)


def test_a_process_that_is_told_its_database_takes_writes_without_postgresql(
    own_postgres: EmbeddedPostgres, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            await until_ready(path)
            identity = path.log.database_id
        own_postgres.kill()
        try:
            told = own_settings.model_copy(update={"database_identity": identity})
            async with started(told) as path:
                await path.accept.open(Caller(1), None, None)
            another = own_settings.model_copy(update={"database_identity": ANOTHER})
            async with started(another) as path:
                with pytest.raises(Unavailable, match="another database"):
                    await path.accept.open(Caller(1), None, None)
        finally:
            own_postgres.start()

    run(scenario)


def test_a_database_that_is_not_the_one_that_was_named_stops_the_start(
    own_settings: Settings,
) -> None:
    async def scenario() -> None:
        settings = own_settings.model_copy(update={"database_identity": ANOTHER})
        async with started(settings):
            pass

    with pytest.raises(WrongDatabaseError, match="DATABASE_IDENTITY"):
        run(scenario)


def test_a_log_of_another_database_takes_nothing_while_postgresql_is_away(
    own_postgres: EmbeddedPostgres, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with started(own_settings) as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            own_postgres.kill()
            keys = [path.log.key(partition, "database") for partition in ALL_PARTITIONS]
            try:
                with Redis.from_url(own_settings.redis) as redis:
                    redis.mset(dict.fromkeys(keys, ANOTHER))
                    before = redis.xlen(path.log.key(ids.partition_of(conversation), "log"))
                    # The id is known there, too: it is another user's conversation.
                    with pytest.raises(Unavailable, match="another database; nothing was written"):
                        await path.accept.add(Caller(1), conversation, "user", "whose?", None)
                    assert not path.ready
                    assert before == redis.xlen(path.log.key(ids.partition_of(conversation), "log"))
                    redis.mset(dict.fromkeys(keys, path.log.database_id))
                await path.accept.add(Caller(1), conversation, "user", "ours again", None)
            finally:
                own_postgres.start()

    run(scenario)
