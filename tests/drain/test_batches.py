"""Batches reach PostgreSQL whole, and what is wrong with one message stays that message's."""

import pytest

from api.core.accept_requests import AcceptRequest
from api.core.batches import Draft, decode
from api.operations import dead_letters
from tests.drain.world import Conversation, World
from tests.log.test_batches import EXTRA


def add(world: World, to: Conversation, *drafts: Draft) -> int:
    """Accept a batch that the log takes for a new one, as after an hour."""
    (answer,) = world.submit(AcceptRequest.batch(to.owner, to.id, drafts, state="live"))
    assert answer.status == "ok"
    for name in world.log.redis.scan_iter(world.log.key(to.partition, "idem:*")):
        world.log.redis.delete(name)
    return answer.id


def user(content: str, external_id: str | None = None, extra: str | None = None) -> Draft:
    return Draft("user", content, external_id, extra)


def test_a_batch_is_stored_in_order_with_all_it_says(world: World) -> None:
    conversation = world.open(world.user())
    world.add(conversation, "before")
    last = add(world, conversation, user("a", "ext", EXTRA), Draft("tool", "", None, "{}"))
    world.add(conversation, "after")

    world.drain.run()

    assert world.contents(conversation) == ["before", "a", "", "after"]
    rows = world.sql(
        "SELECT id, role, external_id, extra::text FROM message WHERE position IN (2, 3) ORDER BY 1"
    )
    assert rows == [(last - 16, "user", "ext", EXTRA), (last, "tool", None, "{}")]
    assert world.counts(0) == (4, 0, 0)


def test_a_batch_that_was_committed_is_known_when_it_comes_again(world: World) -> None:
    conversation = world.open(world.user())
    imported = Draft("user", "c", created_at=1_700_000_000_000)
    add(world, conversation, user("a", "ext"), user("b"), imported)
    with world.lost_trim():
        world.fail_to_drain()

    world.drain.run()

    assert world.contents(conversation) == ["a", "b", "c"]
    assert world.dead() == []


def test_a_refused_message_keeps_its_place_in_its_batch(world: World) -> None:
    world.sql("ALTER TABLE message ADD CONSTRAINT picky CHECK (content NOT LIKE 'refused%')")
    conversation = world.open(world.user())
    world.add(conversation, "before")
    last = add(
        world,
        conversation,
        *(user("a"), user("refused", "ext", EXTRA), user("b"), user("refused too"), user("c")),
    )
    world.add(conversation, "after")
    world.drain.run()

    assert world.contents(conversation) == ["before", "a", "", "b", "", "c", "after"]
    assert world.dead() == [(last, "refused", 3)]
    assert world.counts(0) == (3, 1, 0)

    world.sql("ALTER TABLE message DROP CONSTRAINT picky")
    world.sql("ALTER TABLE message ADD CONSTRAINT picky CHECK (content <> 'refused too')")
    outcome = dead_letters.redrive(world.engine, world.log, world.letter(last))
    assert (outcome.state, outcome.why) == ("dead", "SQLSTATE 23514")
    assert world.contents(conversation)[2] == ""  # all that was refused comes back, or none

    world.sql("ALTER TABLE message DROP CONSTRAINT picky")
    outcome = dead_letters.redrive(world.engine, world.log, world.letter(last))
    assert outcome.state == "redriven"
    assert world.contents(conversation)[1:6] == ["a", "refused", "b", "refused too", "c"]
    rows = world.sql("SELECT external_id, extra::text FROM message WHERE position = 3")
    assert rows == [("ext", EXTRA)]
    assert world.counts(0) == (4, 0, 0)


@pytest.mark.parametrize("extra", ["{", "\ud800", '"\0"'])
def test_extra_that_is_no_json_is_refused_alone(world: World, extra: str) -> None:
    conversation = world.open(world.user())
    data = Draft("user", "text", None, extra)
    request = AcceptRequest.batch(conversation.owner, conversation.id, [user("a"), user("b")])
    poisoned = AcceptRequest(
        *("adds", conversation.owner, "message", conversation.id),
        data=request.data.replace(b'"content":"b"', _quoted(data.extra or "")),
        form="j",
        count=2,
    )
    world.submit(poisoned)

    world.drain.run()

    assert world.contents(conversation) == ["a", ""]
    assert [reason for _, reason, _ in world.dead()] == ["refused"]


def _quoted(extra: str) -> bytes:
    escaped = extra.replace('"', '\\"').replace("\ud800", "\\ud800").replace("\0", "\\u0000")
    return f'"content":"b","extra":"{escaped}"'.encode()


def test_of_two_messages_with_one_external_id_the_first_stays(world: World) -> None:
    conversation = world.open(world.user())
    add(world, conversation, user("a", "ext", "{}"))
    same = add(world, conversation, user("before"), user("a", "ext", "{}"), user("after"))
    other = add(world, conversation, user("first"), user("other", "ext"), user("last"))
    world.drain.run()
    alone = add(world, conversation, user("a", "ext", "{}"))
    world.drain.run()

    assert world.contents(conversation) == ["a", "before", "after", "first", "last"]
    assert world.dead() == [(other, "conflict", None)]
    assert same < other < alone
    assert world.counts(0) == (4, 1, 0)
    letter = world.letter(other)
    assert dead_letters.redrive(world.engine, world.log, letter).why == "another entry has its id"
    dead_letters.discard(world.engine, letter, "known")
    assert world.counts(0) == (4, 0, 1)


def test_an_imported_message_keeps_its_time_and_its_end(world: World) -> None:
    conversation = world.open(world.user())
    old = 1_700_000_000_123
    add(
        world,
        conversation,
        Draft("user", "a", "1", None, old),
        Draft("assistant", "refused", "2", None, old + 1, "interrupted"),
        Draft("assistant", "c", "3", None, old + 2, "interrupted"),
    )
    world.sql("ALTER TABLE message ADD CONSTRAINT picky CHECK (content NOT LIKE 'refused%')")
    world.drain.run()

    rows = "SELECT status, (extract(epoch FROM created_at) * 1000)::bigint FROM message ORDER BY id"
    assert world.sql(rows) == [
        ("stored", old),
        ("unavailable", old + 1),
        ("interrupted", old + 2),
    ]
    world.sql("ALTER TABLE message DROP CONSTRAINT picky")
    (letter,) = (one for one, _, _ in world.dead())
    dead_letters.redrive(world.engine, world.log, world.letter(letter))
    assert world.sql(rows)[1] == ("interrupted", old + 1)


@pytest.mark.parametrize("change", ['"created_at": -1', '"created_at": "x"', '"status": []'])
def test_what_no_import_says_is_no_batch(change: str) -> None:
    with pytest.raises(ValueError, match="role"):
        decode(160, f'[{{"role": "user", "content": "a", {change}}}]'.encode())
