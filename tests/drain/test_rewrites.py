"""Messages that are stored are cut, edited, emptied and exchanged, in the order of the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from api.core import changes
from api.core.accept_requests import AcceptRequest
from api.core.batches import Draft
from api.core.entries import Op
from api.operations import dead_letters
from tests.drain.world import Conversation, FaultyLog, World


def rewrite(world: World, op: Op, at: Conversation, **change: Any) -> int:
    (answer,) = world.submit(
        AcceptRequest(
            *(op, at.owner, "edit", at.id),
            data=changes.encode(change),
            form="j",
            state="live",
            rewritten_id=last_rewrite(world, at),
        )
    )
    assert answer.status == "ok"
    return answer.id


def last_rewrite(world: World, at: Conversation) -> int:
    """What the log compares; PostgreSQL would tell the API."""
    known = world.log.redis.hget(world.log.key(at.id, f"conv:{at.id}"), "rewritten")
    return int(known or 0)


def aside(world: World, of: Conversation) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in world.sql(
            "SELECT branch_id, position, parent_id, content FROM message_aside"
            " WHERE conversation_id = :id ORDER BY branch_id, position",
            id=of.id,
        )
    ]


def say_instead(world: World, at: Conversation, old: int, content: str) -> int:
    """A turn in the place of a message: two entries in one call."""
    (answer,) = world.submit(
        AcceptRequest(
            *("add", at.owner, "turn", at.id, "user"),
            data=content.encode(),
            replaces=old,
            rewritten_id=last_rewrite(world, at),
            lease="mine",
            as_of="skip",
        )
    )
    assert answer.status == "ok"
    return answer.id


@contextmanager
def drained_twice(world: World) -> Iterator[None]:
    """Drain what is accepted inside, lose the trim, and drain it again."""
    yield
    with world.lost_trim():
        world.fail_to_drain()
    world.drain_all()


def test_what_is_cut_is_put_aside_or_gone_and_what_follows_takes_its_place(world: World) -> None:
    conversation = world.open(world.user())
    with drained_twice(world):
        a, b, c = world.add(conversation, "a", "b", "c")
        kept = rewrite(world, "truncate", conversation, message=b, keep=True)
        (d,) = world.add(conversation, "d")
        rewrite(world, "truncate", conversation, message=d, keep=False)
        world.add(conversation, "e", "f")

    assert world.contents(conversation) == ["a", "e", "f"]
    assert world.row(conversation).message_count == 3
    assert aside(world, conversation) == [(kept, 2, a, "b"), (kept, 3, b, "c")]
    assert world.dead() == []
    assert c


def test_a_whole_conversation_is_cut(world: World) -> None:
    conversation = world.open(world.user())
    with drained_twice(world):
        a, _ = world.add(conversation, "a", "b")
        cut = rewrite(world, "truncate", conversation, message=a, keep=True)

    assert world.contents(conversation) == []
    assert aside(world, conversation) == [(cut, 1, None, "a"), (cut, 2, a, "b")]


def test_what_is_dropped_goes_with_its_own_branches(world: World) -> None:
    conversation = world.open(world.user())
    with drained_twice(world):
        a, b, _ = world.add(conversation, "a", "b", "c")
        first = rewrite(world, "truncate", conversation, message=b, keep=True)
        (d, e) = world.add(conversation, "d", "e")
        rewrite(world, "truncate", conversation, message=e, keep=True)
        rewrite(world, "truncate", conversation, message=d, keep=False)

    # The branch that begins in what was dropped is gone, the one beside it is not.
    assert world.contents(conversation) == ["a"]
    assert [row[0] for row in aside(world, conversation)] == [first, first]
    assert a


def test_a_message_is_edited_and_emptied_in_its_place(world: World) -> None:
    conversation = world.open(world.user())
    with drained_twice(world):
        a, b, c = world.add(conversation, "a", "b", "c")
        rewrite(world, "put", conversation, message=a, content="edited", extra='{"n": 1.0}')
        rewrite(world, "put", conversation, message=a, extra='{"n": 2.0}')
        rewrite(world, "remove", conversation, message=b)
        rewrite(world, "put", conversation, message=c, content="last")

    assert world.contents(conversation) == ["edited", "", "last"]
    rows = world.sql(
        "SELECT status, extra::text, edited_at IS NULL FROM message"
        " WHERE conversation_id = :id ORDER BY position",
        id=conversation.id,
    )
    assert [tuple(row) for row in rows] == [
        ("stored", '{"n": 2.0}', False), ("deleted", None, False), ("stored", None, False)
    ]  # fmt: skip


def test_two_tails_are_exchanged_and_nothing_of_either_is_lost(world: World) -> None:
    conversation = world.open(world.user())
    with drained_twice(world):
        a, b, _ = world.add(conversation, "a", "b", "c")
        first = rewrite(world, "truncate", conversation, message=b, keep=True)
        (d,) = world.add(conversation, "d")
        second = rewrite(world, "switch", conversation, branch=first)
        world.add(conversation, "after")

    assert world.contents(conversation) == ["a", "b", "c", "after"]
    assert aside(world, conversation) == [(second, 2, a, "d")]

    with drained_twice(world):
        third = rewrite(world, "switch", conversation, branch=second)
    assert world.contents(conversation) == ["a", "d"]
    assert [row[:2] for row in aside(world, conversation)] == [(third, 2), (third, 3), (third, 4)]
    assert d


@pytest.mark.parametrize("before", [0, 1])
def test_readers_see_what_an_edit_takes_away_and_what_it_brings_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    conversation = world.open(world.user())
    _, b = world.add(conversation, "a", "b")
    world.drain_all()
    world.add(conversation, *["b"] * before)
    say_instead(world, conversation, b, "c")
    world.add(conversation, "d")
    seen = []

    def trim(*arguments: Any, **options: Any) -> None:
        seen.append(world.contents(conversation))
        FaultyLog.trim(world.log, *arguments, **options)

    monkeypatch.setattr(world.log, "trim", trim)

    # A batch is full just after what puts the old one aside.
    world.drain_all(world.new_drain(batch_max_entries=before + 1))

    assert ["a", "c"] in seen
    assert ["a"] not in seen


def test_an_edit_just_after_a_cut_is_seen_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = world.open(world.user())
    _, b, c = world.add(conversation, "a", "b", "c")
    world.drain_all()
    # Ids follow each other, as within a millisecond.
    ahead = c + (3_600_000 << 12)
    world.log.redis.set(world.log.key(0, "tail"), ahead)
    rewrite(world, "truncate", conversation, message=c, keep=True)
    say_instead(world, conversation, b, "d")
    seen = []

    def trim(*arguments: Any, **options: Any) -> None:
        seen.append(world.contents(conversation))
        FaultyLog.trim(world.log, *arguments, **options)

    monkeypatch.setattr(world.log, "trim", trim)
    world.drain_all(world.new_drain(batch_max_entries=1))

    assert (["a", "b"] in seen, ["a"] in seen, seen[-1]) == (True, False, ["a", "d"])


def test_an_edit_whose_text_is_refused_takes_nothing_away_without_its_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.apply.MAX_DEAD_LETTERS_PER_MINUTE", 0)
    world.sql("ALTER TABLE message ADD CONSTRAINT picky CHECK (content <> 'refused')")
    conversation = world.open(world.user())
    _, b = world.add(conversation, "a", "b")
    edit = say_instead(world, conversation, b, "refused")
    world.drain_all()

    assert world.contents(conversation) == ["a", ""]
    assert world.dead() == [(edit, "refused", 2)]


def test_a_copy_has_the_first_messages_with_ids_of_its_own(world: World) -> None:
    source = world.open(world.user())
    world.submit(
        AcceptRequest.batch(source.owner, source.id, [Draft("tool", "a", "ext", '{"n": 1.0}')])
    )
    world.add(source, "b", "c")
    world.drain_all()
    (answer,) = world.submit(
        AcceptRequest(
            *("fork", source.owner, "open", source.id),
            data=changes.encode({"source": source.id, "position": 2, "title": "copy"}),
            form="j",
            count=3,
            rewritten_id=0,
        )
    )
    copy = Conversation(answer.id - 32, source.owner)
    (after,) = world.add(copy, "after")
    with drained_twice(world):
        pass

    assert after > answer.id
    assert world.contents(copy) == ["a", "b", "after"]
    assert world.contents(source) == ["a", "b", "c"]
    row = world.row(copy)
    assert (row.title, row.forked_from, row.forked_at, row.message_count) == (
        "copy", source.id, 2, 3,
    )  # fmt: skip
    rows = world.sql(
        "SELECT id, role, external_id, extra::text FROM message WHERE conversation_id = :id"
        " AND position < 3 ORDER BY position",
        id=copy.id,
    )
    assert [tuple(one) for one in rows] == [
        (copy.id + 16, "tool", "ext", '{"n": 1.0}'), (copy.id + 32, "user", None, None)
    ]  # fmt: skip


def test_an_external_id_is_free_again_once_its_message_is_gone(world: World) -> None:
    conversation = world.open(world.user())

    def name(content: str) -> int:
        draft = Draft("user", content, "ext")
        request = AcceptRequest.batch(conversation.owner, conversation.id, [draft])
        (answer,) = world.submit(replace(request, rewritten_id=last_rewrite(world, conversation)))
        assert answer.status == "ok"
        return answer.id

    with drained_twice(world):
        first = name("a")
        rewrite(world, "truncate", conversation, message=first, keep=True)
        second = name("b")
        rewrite(world, "remove", conversation, message=second)
        name("c")

    assert world.contents(conversation) == ["", "c"]
    assert world.dead() == []


def test_entries_up_to_a_rewrite_are_not_applied_again_by_a_cursor_that_was_set_back(
    world: World,
) -> None:
    conversation = world.open(world.user())
    _, b, _ = world.add(conversation, "a", "b", "c")
    rewrite(world, "truncate", conversation, message=b, keep=False)
    world.add(conversation, "d")
    before = world.sql("SELECT * FROM log_partition WHERE id = 0")[0]
    with world.lost_trim():
        world.fail_to_drain()
    world.sql(
        "UPDATE log_partition SET last_id = :last, applied = :applied WHERE id = 0",
        last=before.last_id,
        applied=before.applied,
    )

    world.drain_all()

    assert world.contents(conversation) == ["a", "d"]
    assert world.dead() == []


def test_an_edit_that_is_refused_changes_nothing_and_is_a_dead_letter(world: World) -> None:
    world.sql("ALTER TABLE message ADD CONSTRAINT picky CHECK (content <> 'refused')")
    conversation = world.open(world.user())
    a, _ = world.add(conversation, "a", "b")
    edit = rewrite(world, "put", conversation, message=a, content="refused")
    world.add(conversation, "c")
    world.drain_all()

    assert world.contents(conversation) == ["a", "b", "c"]
    assert world.dead() == [(edit, "refused", None)]
    outcome = dead_letters.redrive(world.engine, world.log, world.letter(edit))
    assert (outcome.state, outcome.why) == ("dead", "SQLSTATE 23514")
    world.sql("ALTER TABLE message DROP CONSTRAINT picky")
    assert dead_letters.redrive(world.engine, world.log, world.letter(edit)).state == "redriven"
    assert world.contents(conversation) == ["refused", "b", "c"]


def test_a_dead_message_that_was_put_aside_comes_back_there(world: World) -> None:
    world.sql("ALTER TABLE message ADD CONSTRAINT picky CHECK (content <> 'refused')")
    conversation = world.open(world.user())
    (poison,) = world.add(conversation, "refused")
    world.drain_all()
    rewrite(world, "truncate", conversation, message=poison, keep=True)
    world.drain_all()

    outcome = dead_letters.redrive(world.engine, world.log, world.letter(poison))

    assert outcome.state == "redriven"
    assert [row[3] for row in aside(world, conversation)] == ["refused"]


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_aside_goes_with_its_conversation(world: World, *, keep: bool) -> None:
    conversation = world.open(world.user())
    (a,) = world.add(conversation, "a")
    rewrite(world, "truncate", conversation, message=a, keep=keep)
    world.drain_all()
    world.edit("delete", conversation)

    world.drain_all()
    world.new_drain().run()

    assert world.sql("SELECT * FROM message_aside") == []


def test_a_rewrite_of_a_deleted_conversation_is_discarded(world: World) -> None:
    conversation = world.open(world.user())
    (a,) = world.add(conversation, "a")
    rewrite(world, "remove", conversation, message=a)
    world.sql("UPDATE conversation SET deleted_at = now()")
    world.edit("delete", conversation)

    world.drain_all()

    assert world.row(conversation).deleted_at
    assert world.dead() == []
