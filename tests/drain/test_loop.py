"""The drain's loop: failing partitions delay no others, and what is left is rung for."""

import time
from itertools import count
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.core.errors import WrongDatabaseError
from api.core.settings import Settings
from tests.drain.world import FaultyLog, World
from workers import drain as drain_module
from workers.drain import Drain

pytestmark = pytest.mark.slow


def test_a_row_that_an_operator_holds_delays_its_partition_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, *others = (world.open(world.user(), partition=n) for n in range(4))
    world.drain.run()
    world.add(stuck, "held up")
    for other in others:
        world.add(other, "first")

    with world.locked(stuck):
        assert "55P03" in world.fail_to_drain()
        assert all(world.contents(other) == ["first"] for other in others)
        # From now on this process tries the stuck partition last, where it delays no other.
        for other in others:
            world.add(other, "second")
        trimmed: list[float] = []
        trim = world.log.trim

        def watching(*arguments: Any, **options: Any) -> None:
            trimmed.append(time.monotonic())
            trim(*arguments, **options)

        monkeypatch.setattr(world.log, "trim", watching)
        started = time.monotonic()
        world.fail_to_drain()

    # The lock timeout is 2 s.
    assert trimmed[0] - started < 1.5
    assert all(world.contents(other) == ["first", "second"] for other in others)
    assert (world.contents(stuck), world.dead()) == ([], [])
    world.drain.run()
    assert world.contents(stuck) == ["held up"]


def test_a_suspect_partition_is_healthy_again_once_it_commits(world: World) -> None:
    conversation = world.open(world.user())
    world.drain.run()
    world.add(conversation, "a")
    with world.locked(conversation):
        world.fail_to_drain()
    assert not world.drain._health.is_workable(0)

    world.drain.run()

    assert world.drain._health.is_workable(0)
    assert world.contents(conversation) == ["a"]


def test_an_accept_rings_while_a_suspect_is_tried(world: World) -> None:
    """Otherwise entries that are accepted meanwhile would wait for the lock timeout."""
    stuck = world.open(world.user())
    world.drain.run()
    world.add(stuck, "a")
    with world.locked(stuck):
        world.fail_to_drain()
        bell = world.log.key(0, "bell")
        assert world.log.redis.exists(bell) == 0

        world.fail_to_drain()

        assert world.log.redis.exists(bell) == 0
    world.drain.run()


def test_batches_halve_at_each_timeout_and_grow_again(world: World) -> None:
    free, held = world.open(world.user()), world.open(world.user(), partition=0)
    assert free.partition == held.partition
    world.drain.run()
    for n in range(3):
        world.add(free, str(n))
    world.add(held, "held")
    world.add(free, "3")
    drain = world.new_drain(batch_max_entries=8)

    sizes = []
    with world.locked(held):
        while world.contents(free) != ["0", "1", "2"]:
            world.fail_to_drain(drain)
            sizes.append(drain._health.limits[0])
    world.add(free, "4")
    while world.backlog():
        drain.run()

    assert sizes[:2] == [4, 2]
    assert sizes[-1] == 1
    assert world.contents(free) == ["0", "1", "2", "3", "4"]
    assert world.contents(held) == ["held"]
    assert drain._health.limits.get(0, 8) > 1


def test_an_unknown_format_waits_and_the_rest_go_on(world: World) -> None:
    waiting, other = world.open(world.user(), partition=0), world.open(world.user(), partition=1)
    world.add(waiting, "before")
    (before,) = world.add(waiting, "also before")
    world.put(0, before + 16, v=2, shape="unheard of")
    world.log.redis.set(world.log.key(0, "tail"), before + 16)
    world.log.redis.incr(world.log.key(0, "accepted"))
    world.add(waiting, "after")
    world.add(other, "here")

    summary = world.drain.run()

    assert world.contents(waiting) == ["before", "also before"]
    assert world.contents(other) == ["here"]
    assert summary["dead"] == 0
    assert world.backlog() == 2
    assert world.log.redis.exists(world.log.key(0, "bell")) == 0


def test_an_outage_of_postgresql_loses_and_dead_letters_nothing(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a")
    world.drain.run()
    world.add(conversation, "b")
    with world.lost_commit():
        for _ in range(2):
            world.fail_to_drain()
            assert world.log.redis.exists(world.log.key(0, "bell"))

    world.drain.run()

    assert world.contents(conversation) == ["a", "b"]
    assert world.dead() == []


def test_a_helper_is_rung_for_when_much_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "HELPER_BACKLOG", 50)
    conversations = [world.open(world.user(), partition=n) for n in range(8)]
    for conversation in conversations:
        world.add(conversation, *(str(n) for n in range(20)))
    locked: list[int] = []
    read = world.log.read

    def watching(partitions: dict[int, object], entries: int, size: int) -> object:
        locked.append(len(partitions))
        return read(partitions, entries, size)

    monkeypatch.setattr(world.log, "read", watching)
    world.drain.run()

    assert len(world.rings) == 1
    assert locked[0] == 4
    assert all(len(world.contents(conversation)) == 20 for conversation in conversations)


def test_a_drain_whose_slice_is_over_rings_for_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain = world.new_drain(batch_max_entries=1)
    conversation = world.open(world.user())
    drain.run()
    world.add(conversation, *(str(n) for n in range(1_500)))
    monkeypatch.setattr(drain_module, "SLICE_SECONDS", 0.5)

    drain.run()

    assert len(world.rings) == 1
    assert 0 < world.backlog() < 1_500
    monkeypatch.undo()
    while world.backlog():
        world.drain.run()
    assert world.contents(conversation) == [str(n) for n in range(1_500)]


def test_a_drain_told_to_stop_finishes_its_batch_and_has_others_go_on(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, *(str(n) for n in range(20)))
    asked = count()
    stopping = Drain(
        world.log,
        world.engine,
        world.settings.model_copy(update={"batch_max_entries": 5}),
        lambda: world.rings.append(1),
        lambda: next(asked) >= 2,
    )

    summary = stopping.run()

    assert summary["entries"] == 10
    assert world.rings == [1]
    assert world.log.redis.exists(world.log.key(0, "bell")) == 0
    world.drain.run()
    assert world.contents(conversation) == [str(n) for n in range(20)]


def test_a_drain_that_leaves_nothing_puts_the_bell_away(world: World) -> None:
    world.open(world.user())
    assert world.log.redis.exists(world.log.key(0, "bell"))

    world.drain.run()

    assert world.log.redis.exists(world.log.key(0, "bell")) == 0
    assert world.rings == []


def test_a_drain_refuses_the_log_of_another_database(
    redis_client: Redis, namespace: str, engine: Engine, settings: Settings
) -> None:
    log = FaultyLog(redis_client, namespace)
    redis_client.set(log.key(0, "database"), "another")

    with pytest.raises(WrongDatabaseError):
        Drain(log, engine, settings, lambda: None).run()


def test_a_running_drain_refuses_a_log_that_was_exchanged(world: World) -> None:
    conversation = world.open(world.user())
    world.drain.run()
    identity = world.log.redis.get(world.log.key(0, "database"))
    world.add(conversation, "whose?")
    world.log.redis.set(world.log.key(0, "database"), "another")

    with pytest.raises(WrongDatabaseError):
        world.drain.run()

    assert world.contents(conversation) == []
    world.log.redis.set(world.log.key(0, "database"), identity or b"")
    world.drain.run()


def test_a_running_drain_opens_an_emptied_redis_again(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a")
    world.drain.run()
    world.log.redis.flushdb()
    world.put(
        0, 2**51, v=1, op="add", user=conversation.owner, conv=conversation.id, role="user",
        status="stored", at=1, total=1, data="b",
    )  # fmt: skip

    world.drain.run()

    partitions = world.log.status().partitions
    assert all(partition.tail is not None for partition in partitions)
    assert partitions[0].tail is not None
    assert partitions[0].tail >= 2**51
    assert world.contents(conversation) == ["a", "b"]


def test_a_drain_goes_on_if_the_doorbell_cannot_ring(world: World) -> None:
    def broken() -> None:
        raise ConnectionRefusedError

    conversation = world.open(world.user())
    world.add(conversation, *(str(n) for n in range(20)))
    drain = Drain(
        world.log,
        world.engine,
        world.settings.model_copy(update={"batch_max_entries": 5}),
        broken,
        lambda: world.backlog() < 10,
    )

    drain.run()

    world.drain.run()
    assert len(world.contents(conversation)) == 20


def test_a_read_only_database_is_an_outage_and_what_waits_is_stored_later(world: World) -> None:
    conversation, other = world.open(world.user()), world.open(world.user(), partition=5)
    (poison,) = world.add(conversation, b"nul \0 nul")
    world.add(other, "other")
    name = world.engine.url.database
    world.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    world.engine.dispose()

    assert "25006" in world.fail_to_drain()

    assert world.drain._health.is_workable(0)
    assert world.drain._health.is_workable(5)
    world.sql(f'SET TRANSACTION READ WRITE; ALTER DATABASE "{name}" RESET ALL')
    world.engine.dispose()
    world.drain_all()
    assert world.contents(other) == ["other"]
    assert world.dead() == [(poison, "refused", 1)]


def test_a_database_that_becomes_read_only_within_a_batch_fails_no_partition(world: World) -> None:
    """A pooler that knows of several servers may send each statement elsewhere."""
    world.sql("CREATE TABLE standby (); INSERT INTO standby DEFAULT VALUES")
    world.sql("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM standby) THEN
                RAISE 'cannot execute INSERT' USING ERRCODE = '25006';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION refuse()
    """)
    conversation, other = world.open(world.user()), world.open(world.user(), partition=5)
    world.add(conversation, "one")
    world.add(other, "other")

    assert "25006" in world.fail_to_drain()

    assert world.drain._health.is_workable(0)
    assert world.drain._health.is_workable(5)
    world.sql("DROP TABLE standby; DROP TRIGGER refuse ON message")
    world.drain_all()
    assert (world.contents(conversation), world.contents(other)) == (["one"], ["other"])
