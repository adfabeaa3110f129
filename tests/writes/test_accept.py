import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from api.core import ids, log_keys
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.database import writing
from api.core.errors import (
    Conflict,
    NotFound,
    Unauthenticated,
    Unavailable,
    UnsafeRedisError,
    WrongDatabaseError,
)
from api.core.settings import Settings
from api.writes.write_path import WritePath
from tests.support.rows import add_user
from tests.writes.conftest import OpenPath

Store = Callable[[int, int, list[str], int], None]


def test_what_was_accepted_is_in_the_log_in_order(open_path: OpenPath) -> None:
    async def scenario() -> list[bytes]:
        async with open_path() as path:
            conversation = await path.accept.open(Caller(1), "Title", None)
            for text in ("one", "two", "three"):
                await path.accept.add(Caller(1), conversation.id, "user", text, None)
            await path.accept.rename(Caller(1), conversation.id, "New", None)
            entries = path.log.read([ids.partition_of(conversation.id)], 100, 10**6)
            return [entry.data for entry in entries[ids.partition_of(conversation.id)]]

    assert asyncio.run(scenario()) == [b"Title", b"one", b"two", b"three", b"New"]


def test_a_doorbell_is_rung_once_for_many_entries(
    open_path: OpenPath, doorbells: Callable[[], int]
) -> None:
    async def scenario() -> None:
        async with open_path() as path:
            await asyncio.gather(*(path.accept.open(Caller(1), None, None) for _ in range(50)))

    asyncio.run(scenario())

    assert doorbells() == 1


def test_one_drain_is_rung_for_though_entries_come_in_every_partition(
    open_path: OpenPath, doorbells: Callable[[], int]
) -> None:
    async def scenario() -> None:
        async with open_path() as path:
            for user in range(1, 17):
                await path.accept.open(Caller(user), None, None)

    asyncio.run(scenario())

    assert doorbells() == 1


def test_a_request_that_was_cancelled_disturbs_no_other(open_path: OpenPath) -> None:
    async def scenario() -> tuple[list[int], list[int]]:
        async with open_path() as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            sent = [
                asyncio.create_task(
                    path.accept.add(Caller(1), conversation, "user", str(n), f"key-{n}")
                )
                for n in range(400)
            ]
            await asyncio.sleep(0.001)
            for task in sent[::2]:
                task.cancel()
            answers = await asyncio.gather(*sent[1::2])
            again = [
                await path.accept.add(Caller(1), conversation, "user", str(n), f"key-{n}")
                for n in range(1, 400, 2)
            ]
            return [a.id for a in answers], [a.id for a in again]

    first, second = asyncio.run(scenario())

    assert first == second


def test_a_conversation_that_was_just_accepted_is_never_unknown(
    open_path: OpenPath, redis_client: Redis
) -> None:
    async def scenario() -> None:
        async with open_path() as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            redis_client.delete(path.log.key(conversation, f"conv:{conversation}"))
            await path.accept.add(Caller(1), conversation, "user", "hi", None)

    with pytest.raises(Unavailable, match="has not reached the database"):
        asyncio.run(scenario())


@pytest.mark.parametrize("partition", [0, 9])
def test_a_conversation_only_postgresql_knows_is_its_owners(
    open_path: OpenPath, engine: Engine, owner: int, store: Store, partition: int
) -> None:
    conversation, stranger = 4096 + partition, add_user(engine, "stranger")
    store(owner, conversation, ["old"], 4200)

    async def scenario() -> None:
        async with open_path() as path:
            with pytest.raises(NotFound):
                await path.accept.add(Caller(stranger), conversation, "user", "mine now", None)
            with pytest.raises(NotFound):
                await path.accept.add(Caller(owner), conversation + 16, "user", "nobody's", None)
            added = await path.accept.add(Caller(owner), conversation, "user", "hi", None)
            assert ids.partition_of(added.id) == partition
            with pytest.raises(NotFound):
                await path.accept.add(Caller(stranger), conversation, "user", "mine now", None)

    asyncio.run(scenario())


def test_a_cold_turn_loads_its_earlier_turns_from_postgresql(
    open_path: OpenPath, owner: int, store: Store
) -> None:
    store(owner, 4096, ["first", "second"], 4200)

    async def scenario() -> tuple[list[str], list[str]]:
        async with open_path() as path:
            cold = await path.accept.begin_turn(Caller(owner), 4096, "third", None)
            warm = await path.accept.begin_turn(Caller(owner), 4096, "fourth", None)
            return [m.content for m in cold.recent], [m.content for m in warm.recent]

    cold, warm = asyncio.run(scenario())

    assert cold == ["first", "second"]
    assert warm == ["first", "second", "third"]


def test_a_cold_turn_keeps_no_more_in_the_log_than_recent_turns_may_have(
    open_path: OpenPath, owner: int, store: Store, redis_client: Redis
) -> None:
    long = "x" * 400_000
    store(owner, 4096, [long] * 20, 4400)
    store(owner, 8193, ["old", *["y" * 3_000] * 8], 8600)

    async def scenario() -> list[int]:
        async with open_path() as path:
            turns = [
                await path.accept.begin_turn(Caller(owner), conversation, "hi", None)
                for conversation in (4096, 8193)
            ]
            kept = [path.log.key(c, f"turns:{c}") for c in (4096, 8193)]
            assert redis_client.exists(kept[0]) == 0
            assert 0 < (redis_client.memory_usage(kept[1]) or 0) < 40_000
            return [len(turn.recent) for turn in turns]

    # The latest for the assistant, however long; else what fits.
    assert asyncio.run(scenario()) == [1, 5]


def test_a_replayed_turn_knows_only_what_came_before_it(open_path: OpenPath) -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        async with open_path() as path:
            accept = path.accept
            conversation = (await accept.open(Caller(1), None, None)).id
            await accept.add(Caller(1), conversation, "user", "before", None)
            turn = await accept.begin_turn(Caller(1), conversation, "hi", "key")
            await accept.add(Caller(1), conversation, "user", "after", None)
            await path.async_log.run("lease", turn.id, turn.lease or "", turn.name.member, 0)
            again = await accept.begin_turn(Caller(1), conversation, "hi", "key")
            assert again.id == turn.id
            assert again.lease is not None
            return [m.content for m in turn.recent], [m.content for m in again.recent]

    first, second = asyncio.run(scenario())

    assert first == second == ["before"]


def test_a_retried_turn_waits_for_what_the_log_still_holds_of_its_earlier_turns(
    open_path: OpenPath, owner: int, store: Store, engine: Engine, redis_client: Redis
) -> None:
    store(owner, 4096, ["first", "second"], 4200)

    def drain(third: int, turn: int) -> None:
        with writing(engine) as session:
            connection = session.connection()
            connection.execute(
                text("INSERT INTO message VALUES (:i, 4096, :o, 3, 'user', 'third', 'stored', :t)"),
                {"i": third, "o": owner, "t": datetime.now(UTC)},
            )
            connection.execute(
                text("UPDATE log_partition SET last_id = :l WHERE id = 0"), {"l": turn}
            )

    async def scenario() -> list[str]:
        async with open_path() as path:
            third = await path.accept.add(Caller(owner), 4096, "user", "third", None)
            turn = await path.accept.begin_turn(Caller(owner), 4096, "fourth", "key")
            redis_client.delete(
                path.log.key(turn.id, f"turn:{turn.id}"), path.log.key(0, "turns:4096")
            )
            again = asyncio.create_task(
                path.accept.begin_turn(Caller(owner), 4096, "fourth", "key")
            )
            await asyncio.wait([again], timeout=0.2)
            await asyncio.to_thread(drain, third.id, turn.id)
            return [message.content for message in (await again).recent]

    assert asyncio.run(scenario()) == ["first", "second", "third"]


def test_a_turn_is_answered_once_and_its_answer_found(open_path: OpenPath) -> None:
    async def scenario() -> None:
        async with open_path() as path:
            accept = path.accept
            conversation = (await accept.open(Caller(1), None, None)).id
            turn = await accept.begin_turn(Caller(1), conversation, "hi", "key")
            running = await accept.begin_turn(Caller(1), conversation, "hi", "key")
            first = await accept.reply(turn.name, "one")
            second = await accept.reply(turn.name, "two")
            done = await accept.begin_turn(Caller(1), conversation, "hi", "key")

            assert turn.lease is not None
            assert (running.lease, running.reply_id) == (None, None)
            assert (second.id, second.replayed) == (first.id, True)
            assert (done.lease, done.reply_id) == (None, first.id)
            found = await path.async_log.find(1, conversation, first.id)
            assert found is not None
            assert found.data == b"one"
            assert await path.async_log.find(2, conversation, first.id) is None
            assert await path.async_log.find(1, conversation + 16, first.id) is None

    asyncio.run(scenario())


def test_an_answer_is_not_told_that_its_conversation_which_the_log_forgot_does_not_exist(
    open_path: OpenPath, redis_client: Redis, owner: int, store: Store
) -> None:
    async def scenario() -> int:
        async with open_path() as path:
            conversation = (await path.accept.open(Caller(owner), None, None)).id
            turn = await path.accept.begin_turn(Caller(owner), conversation, "hi", None)
            redis_client.delete(path.log.key(conversation, f"conv:{conversation}"))
            # Nobody drains, so PostgreSQL does not have it yet.
            with pytest.raises(Unavailable):
                await path.accept.reply(turn.name, "hello")
            store(owner, conversation, [], conversation)
            return (await path.accept.reply(turn.name, "hello")).id - turn.id

    assert asyncio.run(scenario()) > 0


def test_refusals_say_what_they_are(open_path: OpenPath, redis_client: Redis) -> None:
    async def scenario() -> None:
        async with open_path() as path:
            accept = path.accept
            conversation = (await accept.open(Caller(1), None, None)).id
            await accept.add(Caller(1), conversation, "user", "x", "key")
            with pytest.raises(Conflict):
                await accept.add(Caller(1), conversation, "user", "y", "key")
            await accept.close(Caller(1), conversation, None)
            with pytest.raises(Conflict):
                await accept.add(Caller(1), conversation, "user", "z", None)
            await accept.delete(Caller(1), conversation, None)
            with pytest.raises(NotFound):
                await accept.rename(Caller(1), conversation, "T", None)
            redis_client.set(path.log.key(1, "gone:1"), 1)
            with pytest.raises(Unauthenticated):
                await accept.open(Caller(1), None, None)

    asyncio.run(scenario())


def test_a_key_that_renamed_does_not_delete(open_path: OpenPath) -> None:
    async def scenario() -> None:
        async with open_path() as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            await path.accept.rename(Caller(1), conversation, "", "key")
            with pytest.raises(Conflict):
                await path.accept.delete(Caller(1), conversation, "key")

    asyncio.run(scenario())


def test_an_emptied_redis_is_opened_again_above_what_postgresql_has(
    open_path: OpenPath, redis_client: Redis, owner: int, store: Store
) -> None:
    ahead = ids.first_at(2_000_000_000_000, 3)
    store(owner, ahead, [], ahead)

    async def scenario() -> int:
        async with open_path() as path:
            redis_client.flushdb()
            while True:
                # `ready` may still be what it was before: only an answer tells.
                with suppress(Unavailable):
                    return (await path.accept.add(Caller(owner), ahead, "user", "hi", None)).id
                await asyncio.sleep(0.05)

    async def bounded() -> int:
        return await asyncio.wait_for(scenario(), 15)

    assert asyncio.run(bounded()) > ahead


def test_a_log_of_another_database_stops_the_start(
    settings: Settings, engine: Engine, redis_client: Redis
) -> None:
    redis_client.set(log_keys.key(settings.log_namespace, 0, "database"), "another")

    async def start_and_stop() -> None:
        path = WritePath(settings, engine, AsyncDatabase(engine))
        try:
            await path.start()
        finally:
            await path.stop()

    with pytest.raises(WrongDatabaseError):
        asyncio.run(start_and_stop())


def test_a_redis_that_forgets_stops_the_start(
    settings: Settings, engine: Engine, redis_client: Redis
) -> None:
    redis_client.config_set("appendfsync", "everysec")
    try:
        with pytest.raises(UnsafeRedisError, match="appendfsync is 'everysec', must be always"):
            asyncio.run(WritePath(settings, engine, AsyncDatabase(engine)).start())
    finally:
        redis_client.config_set("appendfsync", "always")


def test_a_nearly_full_redis_takes_no_new_conversations_and_then_nothing(
    open_path: OpenPath, redis_client: Redis
) -> None:
    def fill_to(part: float) -> None:
        used = int(redis_client.info("memory")["used_memory"])
        redis_client.config_set("maxmemory", int(used / part))

    async def until(path: WritePath, low: float, high: float) -> None:
        while not low < path.memory_ratio < high:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.05)

    async def scenario() -> None:
        async with open_path() as path:
            conversation = (await path.accept.open(Caller(1), None, None)).id
            fill_to(0.75)
            await asyncio.wait_for(until(path, 0.70, 0.80), 10)
            with pytest.raises(Unavailable, match="memory"):
                await path.accept.open(Caller(1), None, None)
            await path.accept.add(Caller(1), conversation, "user", "still taken", None)
            fill_to(0.9)
            await asyncio.wait_for(until(path, 0.80, 1.5), 10)
            with pytest.raises(Unavailable, match="memory"):
                await path.accept.add(Caller(1), conversation, "user", "refused", None)

    before = redis_client.config_get("maxmemory")["maxmemory"] or "0"
    try:
        asyncio.run(scenario())
    finally:
        redis_client.config_set("maxmemory", before)
