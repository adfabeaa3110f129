"""A delete leaves a tombstone; later entries of the conversation are counted as discarded."""

import pytest
from sqlalchemy import text

from api.core.partition_counts import lock_free
from tests.drain.world import Conversation, World
from tests.support.waiting import eventually
from workers import purge, sql


def test_a_deleted_conversation_leaves_a_tombstone_without_text(world: World) -> None:
    conversation = world.open(world.user(), title="secret")
    world.add(conversation, "secret", "secret")
    world.drain.run()

    world.edit("delete", conversation)
    world.drain.run()

    row = world.row(conversation)
    assert (row.title, row.message_count) == (None, 0)
    assert row.deleted_at is not None
    assert world.contents(conversation) == []
    assert world.counts(0) == (4, 0, 0)


def test_entries_after_a_delete_are_discarded_and_counted(world: World) -> None:
    conversation = world.open(world.user())
    world.edit("delete", conversation)
    late = Conversation(conversation.id, conversation.owner)
    # As if the conversation's key had expired: the accept script does not know of the delete.
    world.log.redis.delete(world.log.key(conversation.id, f"conv:{conversation.id}"))
    world.add(late, "late")
    world.edit("rename", late, "late")
    world.edit("close", late)
    world.edit("delete", late)

    summary = world.drain.run()

    assert summary["discarded"] == 4
    assert world.contents(conversation) == []
    assert world.row(conversation).title is None
    assert world.row(conversation).closed_at is None
    assert (world.counts(0), world.dead()) == ((2, 0, 4), [])


def test_late_entries_in_a_later_batch_are_discarded_too(world: World) -> None:
    conversation = world.open(world.user())
    world.edit("delete", conversation)
    world.drain.run()
    world.log.redis.delete(world.log.key(conversation.id, f"conv:{conversation.id}"))

    world.add(conversation, "late")
    world.drain.run()

    assert world.contents(conversation) == []
    assert world.counts(0) == (2, 0, 1)


def test_entries_of_a_deleted_account_are_discarded(world: World) -> None:
    owner = world.user()
    conversation = world.open(owner, title="gone")
    world.add(conversation, "gone")
    world.sql('DELETE FROM "user" WHERE id = :id', id=owner)
    other = world.open(world.user(), partition=0)
    world.add(other, "here")

    summary = world.drain.run()

    assert summary["discarded"] == 2
    assert world.row(conversation) is None
    assert world.contents(other) == ["here"]
    assert world.dead() == []


def test_messages_of_a_deleted_conversation_go_in_chunks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "PURGE_CHUNK", 10)
    conversation, kept = world.open(world.user()), world.open(world.user())
    world.add(conversation, *(str(n) for n in range(95)))
    world.add(kept, "kept")
    world.edit("delete", conversation)

    def is_purged() -> bool:
        # Ten chunks may take longer than the slice of one run.
        world.drain.run()
        return bool(world.row(conversation).message_count == 0)

    eventually(is_purged)
    assert world.contents(conversation) == []
    assert world.contents(kept) == ["kept"]


def test_a_purge_that_was_cut_short_is_finished_by_the_next_process(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a", "b")
    world.drain.run()
    # The delete was committed and trimmed, then the process was killed.
    world.sql("UPDATE conversation SET deleted_at = now(), title = NULL")

    world.new_drain().run()

    assert world.contents(conversation) == []


def test_messages_are_purged_though_the_run_that_committed_the_delete_failed(
    world: World,
) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a", "b")
    world.edit("delete", conversation)
    with world.lost_trim():
        world.fail_to_drain()

    world.drain.run()

    assert world.contents(conversation) == []


def test_a_purge_waits_for_a_row_that_another_session_holds(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a", "b")
    world.edit("delete", conversation)
    with world.engine.connect() as operator:
        world.drain.run()
        world.sql("UPDATE conversation SET message_count = 1")
        world.sql(
            "INSERT INTO message VALUES (1, :id, :owner, 1, 'user', 'a', 'stored', now())",
            id=conversation.id,
            owner=conversation.owner,
        )
        operator.execute(text("SELECT FROM message FOR UPDATE"))
        drain = world.new_drain()

        assert "55P03" in world.fail_to_drain(drain)

    drain.run()
    assert world.contents(conversation) == []


def test_a_purge_waits_for_a_partition_that_another_drain_holds(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "a", "b")
    world.drain.run()
    world.sql("UPDATE conversation SET deleted_at = now(), title = NULL")
    drain = world.new_drain()

    with sql.transaction(world.engine) as other:
        lock_free(other, [0], 1)
        drain.run()
        assert world.contents(conversation) == ["a", "b"]

    drain.run()
    assert world.contents(conversation) == []


def test_a_delete_by_another_user_removes_nothing(world: World) -> None:
    conversation = world.open(world.user())
    (message,) = world.add(conversation, "mine")
    world.log.redis.incr(world.log.key(0, "accepted"))
    world.put(
        0, message + 16, v=1, op="delete", user=world.user(), conv=conversation.id, role="",
        status="stored", at=1, total=1, data="",
    )  # fmt: skip

    world.drain.run()

    assert world.contents(conversation) == ["mine"]
    assert world.row(conversation).message_count == 1


def test_dead_letters_of_a_deleted_conversation_lose_their_payload(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, b"se\0cret")
    world.drain.run()
    assert world.counts(0) == (1, 1, 0)

    world.edit("delete", conversation)
    world.drain.run()

    (letter,) = world.sql("SELECT * FROM dead_letter")
    assert bytes(letter.payload) == b""
    assert letter.discarded_at is not None
    assert world.counts(0) == (2, 0, 1)
