"""Caches go while Redis fills up; what is not in PostgreSQL yet, and who writes, is left alone."""

import asyncio

import pytest
from redis import Redis

from api.core import log_keys
from api.core.caller import Caller
from api.core.ids import partition_of
from api.core.turns import Said, said_arguments
from api.writes.async_log import AsyncLog
from api.writes.caches import CONVERSATIONS_GO, TURNS_GO, Caches
from tests.writes.conftest import OpenPath

SAID, END = Said(1, "delta", "x"), Said(1, "end", "{}")


def kinds(redis: Redis, namespace: str) -> set[str]:
    found = redis.scan_iter(f"{{{namespace}:*}}:*", count=1_000)
    return {key.decode().partition("}:")[2].partition(":")[0] for key in found}


def test_what_postgresql_has_goes_first_turns_then_conversations(
    open_path: OpenPath, redis_client: Redis, namespace: str
) -> None:
    async def scenario() -> list[set[str]]:
        async with open_path() as path:
            opened = await path.accept.open(Caller(1), None, None)
            turn = await path.accept.begin_turn(Caller(1), opened.id, "hi", "key", streamed=True)
            path.log.run("say", *said_arguments(turn.name, turn.lease or "", SAID))
            seen = []

            async def check(ratio: float) -> None:
                await Caches(path.async_log, lambda: ratio).check()
                seen.append(kinds(redis_client, namespace) & {"turns", "stream", "conv", "idem"})

            await check(1.0)  # nothing is in PostgreSQL, and the turn runs
            path.log.trim({partition_of(opened.id): turn.id}, [opened.id], {})
            path.log.run("say", *said_arguments(turn.name, turn.lease or "", END))
            await check(TURNS_GO)
            await check(CONVERSATIONS_GO)
            await check(1.0)
            return seen

    running, roomy, fuller, full = asyncio.run(scenario())

    assert running == roomy == {"turns", "stream", "conv", "idem"}
    assert fuller == {"conv", "idem"}
    assert full == {"idem"}


async def always_full(_: AsyncLog) -> float:
    return 1.0


def test_a_sweep_that_is_under_way_does_not_keep_a_server_from_stopping(
    open_path: OpenPath, redis_client: Redis, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hundreds of calls, each of which finds a key or two that must stay.
    monkeypatch.setattr("api.writes.async_log.FORGET_CHUNK", 1)
    monkeypatch.setattr("api.writes.caches.CHECK_SECONDS", 0.01)
    monkeypatch.setattr(AsyncLog, "memory_ratio", always_full)
    for number in range(500):
        redis_client.set(log_keys.key(namespace, number, f"turns:{number}"), "")

    async def scenario() -> int:
        async with open_path() as path:
            caches = Caches(path.async_log, lambda: 1.0)
            caches.start()
            while not caches._cursor:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0)
            await caches.stop()
            return caches._cursor

    left_at = asyncio.run(asyncio.wait_for(scenario(), 30))

    assert left_at != 0
