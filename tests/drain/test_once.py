"""Every entry is applied exactly once, also if a commit or a trim is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.core.entries import VERSION, Entry
from api.core.partition_counts import lock_free
from tests.drain.world import World
from workers import sql


def test_a_batch_whose_trim_was_lost_is_not_applied_again(world: World) -> None:
    conversation = world.open(world.user(), title="once")
    world.add(conversation, "a", "b")
    with world.lost_trim():
        world.fail_to_drain()
    counts = world.counts(0)

    summary = world.drain.run()

    assert world.contents(conversation) == ["a", "b"]
    assert world.counts(0) == counts == (3, 0, 0)
    assert (summary["messages"], summary["duplicates"], world.dead()) == (0, 3, [])
    assert world.backlog() == 0


def test_a_batch_whose_commit_was_lost_is_applied_later(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a", "b")
    with world.lost_commit():
        world.fail_to_drain()
    assert world.row(conversation) is None

    world.drain.run()

    assert world.contents(conversation) == ["a", "b"]


def test_what_was_deleted_stays_deleted_when_a_smaller_batch_sees_it_again(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "never again")
    world.edit("delete", conversation)
    with world.lost_trim():
        world.fail_to_drain()

    seen = []

    def look() -> None:
        seen.append((world.row(conversation).deleted_at is not None, world.contents(conversation)))

    world.log.before_commit = look
    for _ in range(3):
        world.new_drain(batch_max_entries=1).run()
    look()

    assert all(deleted for deleted, _ in seen)
    assert seen[-1] == (True, [])
    assert world.backlog() == 0


def test_more_committed_entries_than_a_batch_holds_are_all_checked(world: World) -> None:
    conversation = world.open(world.user())
    contents = [str(n) for n in range(50)]
    world.add(conversation, *contents)
    with world.lost_trim():
        world.fail_to_drain()
    lost = world.sql("DELETE FROM message WHERE content = '40' RETURNING id")[0][0]

    world.new_drain(batch_max_entries=8).run()

    assert world.dead() == [(lost, "regressed", None)]
    assert world.backlog() == 0


def test_committed_and_new_entries_share_a_batch(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "old")
    with world.lost_trim():
        world.fail_to_drain()
    world.add(conversation, "new")

    summary = world.drain.run()

    assert world.contents(conversation) == ["old", "new"]
    assert (summary["messages"], summary["duplicates"]) == (1, 2)


def test_two_drains_at_once_apply_everything_once(world: World) -> None:
    conversations = [world.open(world.user(), partition=n) for n in range(16)]
    for round_ in range(20):
        for conversation in conversations:
            world.add(conversation, *(f"{round_}.{n}" for n in range(5)))
    drains = [world.new_drain(batch_max_entries=32) for _ in range(3)]

    with ThreadPoolExecutor() as pool:
        while world.backlog():
            list(pool.map(lambda drain: drain.run(), drains))

    expected = [f"{round_}.{n}" for round_ in range(20) for n in range(5)]
    assert all(world.contents(conversation) == expected for conversation in conversations)
    assert [world.counts(n) for n in range(16)] == [(101, 0, 0)] * 16


def test_the_log_is_read_only_after_its_partition_is_locked(world: World) -> None:
    """Otherwise a worker that is paused after reading would apply old entries after newer ones."""
    conversation = world.open(world.user())
    world.add(conversation, "a")
    held: list[bool] = []

    def is_locked() -> None:
        with sql.transaction(world.engine) as cursor:
            held.append(not lock_free(cursor, [0], 1))

    world.log.before_commit = is_locked
    world.drain.run()

    assert held
    assert all(held)


def test_a_drain_that_gets_no_partition_ends_and_leaves_the_bell(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a")
    released = threading.Event()

    with sql.transaction(world.engine) as cursor:
        lock_free(cursor, [0], 1)
        summary = world.drain.run()
        released.set()

    assert summary["entries"] == 0
    assert world.log.redis.exists(world.log.key(0, "bell"))
    assert world.rings == []
    world.drain.run()
    assert world.contents(conversation) == ["a"]


def test_a_paused_drain_is_ended_by_postgresql_and_applies_nothing(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a")
    overtaken = []

    def pause(self: None = None) -> None:
        """Hold the lock until PostgreSQL has ended the session; other drains go on meanwhile."""
        world.log.before_commit = None
        world.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state ="
            " 'idle in transaction' AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        overtaken.append(world.new_drain().run()["messages"])
        world.add(conversation, "b")

    world.log.before_commit = pause
    world.fail_to_drain()
    world.drain.run()

    assert overtaken == [1]
    assert world.contents(conversation) == ["a", "b"]


def test_entries_are_read_with_their_fields(world: World) -> None:
    conversation = world.open(world.user(), title="t")
    (message,) = world.add(conversation, "hello")

    opened, added = world.log.read([0], 10, 1_000)[0]

    assert (opened.op, opened.data, opened.conversation_id) == ("open", b"t", conversation.id)
    assert added == Entry(
        message, VERSION, "add", conversation.owner, conversation.id, "user", "stored",
        added.created_at_ms, added.total_bytes, b"hello",
    )  # fmt: skip


@pytest.mark.parametrize("follows", [True, False])
def test_other_words_under_a_known_id_are_not_dropped_where_nothing_is_kept(
    world: World, follows: bool
) -> None:
    conversation = world.open(world.user())
    old, _ = world.add(conversation, "a", "b")
    world.new_drain(log_keep_seconds=0).run()
    log = world.log.key(conversation.id, "log")
    assert world.log.redis.xlen(log) == 0
    world.log.redis.eval("redis.call('XSETID', KEYS[1], ARGV[1])", 1, log, f"{old - 1}-0")
    world.put(
        conversation.partition, old,
        v="1", op="add", user=conversation.owner, conv=conversation.id, role="user",
        status="stored", at=1, total=0, data="other words",
    )  # fmt: skip
    world.log.redis.incr(world.log.key(conversation.id, "accepted"))
    if follows:
        world.add(conversation, "c")
    world.drain_all()

    assert world.contents(conversation) == ["a", "b", *["c"] * follows]
    assert [(entry, reason) for entry, reason, _ in world.dead()] == [(old, "conflict")]
