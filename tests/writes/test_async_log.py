"""The asynchronous client when Redis is slow, gone, or answers too late."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from redis import Redis

from api.core import log_keys
from api.core.errors import Unavailable
from api.core.settings import Settings
from api.local.redis import EmbeddedRedis
from api.writes.accept_connection import AcceptConnection
from api.writes.async_log import CONNECTIONS, AsyncLog
from tests.writes.test_faults import frozen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_redis(start_redis: Callable[[], EmbeddedRedis]) -> EmbeddedRedis:
    return start_redis()


@pytest.fixture
def own_settings(own_redis: EmbeddedRedis) -> Settings:
    return Settings(redis_url=own_redis.url, secret_key=SecretStr("x" * 32))


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[AsyncLog]:
    log = AsyncLog.pool(settings, "verbatim-test")
    log.database_id = "a-database"
    try:
        yield log
    finally:
        await log.close()


def test_a_cancelled_call_leaves_its_reply_to_no_other(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> list[list[bytes]]:
        async with opened(own_settings) as log:
            with Redis.from_url(own_redis.url) as redis:
                for turn in range(2 * CONNECTIONS):
                    key = log_keys.key(log.namespace, turn, f"stream:{turn}")
                    redis.xadd(key, {"delta": f"of {turn}"}, id="1-0")
            with frozen(own_redis):
                # Each has sent its question and waits for the answer when it is cancelled.
                asking = [
                    asyncio.create_task(log.run("heard", turn, "0-0"))
                    for turn in range(CONNECTIONS)
                ]
                await asyncio.sleep(0.2)
                for task in asking:
                    task.cancel()
                await asyncio.wait(asking)
            heard = [
                await log.run("heard", turn, "0-0") for turn in range(CONNECTIONS, 2 * CONNECTIONS)
            ]
            return [[turn, entries[0][1][1]] for [[turn, entries]] in heard]

    answers = asyncio.run(asyncio.wait_for(scenario(), 30))

    assert answers == [
        [str(turn).encode(), f"of {turn}".encode()] for turn in range(CONNECTIONS, 2 * CONNECTIONS)
    ]


def test_more_calls_than_there_are_connections_wait_for_each_other(own_settings: Settings) -> None:
    async def scenario() -> int:
        async with opened(own_settings) as log:
            return len(await asyncio.gather(*(log.revoked() for _ in range(10 * CONNECTIONS))))

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == 10 * CONNECTIONS


def test_a_redis_that_is_gone_is_unavailable_and_comes_back(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> None:
        async with opened(own_settings) as log:
            await log.revoked()
            own_redis.kill()
            with pytest.raises(Unavailable):
                await log.find(1, 4096, 4112)
            with pytest.raises(Unavailable):
                await log.evict({"turns"}, 0)
            own_redis.start()
            assert await log.revoked() == frozenset()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_an_owned_connection_reads_no_answer_of_a_call_that_was_given_up(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> tuple[list[str], object]:
        log = await AcceptConnection.opened(own_settings, "verbatim-test")
        log.database_id = "a-database"
        outcomes = []
        try:
            with frozen(own_redis):
                asking = asyncio.create_task(log.run("running", 1, 16))
                await asyncio.sleep(0)
                asking.cancel()
                await asyncio.wait([asking])
                outcomes.append("cancelled" if asking.cancelled() else "answered")
            with pytest.raises(Unavailable):
                await log.run("running", 1, 16)
            # The client opens it anew, and nothing is left on it of the call before.
            await log.now_ms()
            return outcomes, await log.run("named", 1, "x")
        finally:
            await log.close()

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == (["cancelled"], b"")


def test_an_owned_connection_survives_a_refusal(
    own_redis: EmbeddedRedis, own_settings: Settings
) -> None:
    async def scenario() -> list[object]:
        log = await AcceptConnection.opened(own_settings, "verbatim-test")
        log.database_id = "a-database"
        try:
            with Redis.from_url(own_redis.url) as redis:
                # The script is sent whole where Redis does not know it.
                redis.script_flush()
                unknown = await log.run("named", 1, "x")
                redis.set(log_keys.key(log.namespace, 0, "running"), "not a set")
                with pytest.raises(Unavailable):
                    await log.run("running", 1, 16)
                redis.delete(log_keys.key(log.namespace, 0, "running"))
            return [unknown, await log.run("running", 1, 16)]
        finally:
            await log.close()

    assert asyncio.run(asyncio.wait_for(scenario(), 30)) == [b"", []]
