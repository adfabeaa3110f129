"""What opens and sets say of conversations, on its way to PostgreSQL."""

import json
from typing import Any

import pytest

from api.core import conversation_fields, ids
from api.core.accept_requests import AcceptRequest
from api.core.conversation_fields import ConversationFields
from api.operations import dead_letters
from tests.drain.world import Conversation, World


def open_with(world: World, owner: int, **fields: Any) -> Conversation:
    """Open a conversation past what the API checks."""
    external_id = fields.get("external_id")
    (answer,) = world.submit(
        AcceptRequest(
            *("open", owner, "open"),
            data=json.dumps(fields).encode(),
            form="j",
            home=ids.partition_of(owner),
            external=conversation_fields.digest(external_id) if external_id else "",
            vacant=0,
        )
    )
    assert answer.status == "ok"
    return Conversation(answer.id, owner)


def say(world: World, to: Conversation, **fields: Any) -> int:
    data = json.dumps(fields).encode()
    (answer,) = world.submit(
        AcceptRequest("set", to.owner, "edit", to.id, data=data, form="j", state="live")
    )
    assert answer.status == "ok"
    return answer.id


def said(world: World, of: Conversation) -> tuple[Any, ...]:
    row = world.row(of)
    return row.title, row.metadata, row.tags, bool(row.archived_at), bool(row.pinned_at)


def test_the_last_value_of_each_field_wins(world: World) -> None:
    conversation = open_with(world, world.user(), title="a", metadata='{"n":1}', tags=["x"])
    say(world, conversation, metadata='{"n":2}', archived=True, pinned=True)
    world.add(conversation, "between")
    say(world, conversation, metadata='{"n":3}', title="b", pinned=False)
    world.drain.run()
    together = said(world, conversation)
    say(world, conversation, tags=[], archived=False)
    world.drain.run()

    assert together == ("b", {"n": 3}, ["x"], True, False)
    assert said(world, conversation) == ("b", {"n": 3}, None, False, False)
    assert world.contents(conversation) == ["between"]


def test_what_is_said_of_a_deleted_conversation_is_discarded(world: World) -> None:
    conversation = open_with(world, world.user(), title="a", tags=["x"], external_id="e")
    say(world, conversation, metadata="{}")
    world.edit("delete", conversation)
    world.drain.run()

    row = world.row(conversation)
    assert said(world, conversation) == (None, None, None, False, False)
    assert (row.external_id, row.deleted_at is not None) == (None, True)


def thumbs(world: World) -> list[tuple[str, str | None]]:
    """Return the ratings by message, of answers that are aside, too."""
    return [
        (content, rating)
        for content, rating in world.sql(
            "SELECT content, feedback->>'rating' FROM message UNION ALL"
            " SELECT content, feedback->>'rating' FROM message_aside ORDER BY content"
        )
    ]


def test_the_last_rating_of_an_answer_stays_with_it(world: World) -> None:
    conversation, other = (open_with(world, world.user()) for _ in range(2))
    [first, second] = world.add(conversation, "a", "b", role="assistant")
    [question] = world.add(conversation, "c")
    up = {"rating": "up", "comment": "ü"}
    say(world, conversation, feedback={"message": first, "rating": "down", "comment": None})
    say(world, conversation, feedback={"message": second, **up})
    say(world, conversation, feedback={"message": first, **up}, pinned=True)
    say(world, conversation, feedback={"message": question, **up})
    say(world, other, feedback={"message": first, "rating": "down", "comment": None})
    world.drain.run()
    together = thumbs(world)
    say(world, conversation, feedback={"message": second, "rating": None, "comment": None})
    world.drain.run()

    assert together == [("a", "up"), ("b", "up"), ("c", None)]
    assert thumbs(world) == [("a", "up"), ("b", None), ("c", None)]
    assert said(world, conversation)[4]
    assert world.row(conversation).rewritten_id is None
    assert world.dead() == []


def test_a_redriven_rating_is_stored_unless_a_later_one_is(world: World) -> None:
    conversation = open_with(world, world.user())
    [first, second] = world.add(conversation, "a", "b", role="assistant")
    up: dict[str, Any] = {"rating": "up", "comment": None}
    letters = [
        say(world, conversation, title="\0", feedback={"message": message, **up})
        for message in (first, second)
    ]
    world.drain.run()
    say(world, conversation, feedback={"message": second, "rating": "down", "comment": None})
    world.drain.run()
    assert thumbs(world) == [("a", None), ("b", "down")]
    for message, letter in zip((first, second), letters, strict=True):
        repaired = json.dumps({"feedback": {"message": message, **up}}).encode()
        world.sql(
            "UPDATE dead_letter SET payload = :payload WHERE entry_id = :id",
            payload=repaired,
            id=letter,
        )
        assert dead_letters.redrive(world.engine, world.log, world.letter(letter)).state == (
            "redriven"
        )

    assert thumbs(world) == [("a", "up"), ("b", "down")]


def test_a_conversation_that_began_before_is_opened_once(world: World) -> None:
    owner = world.user()
    with world.lost_trim():
        conversation = open_with(world, owner, created_at=1_000, external_id="e")
        world.fail_to_drain()
    world.sql("UPDATE log_partition SET last_id = 0, applied = 0")
    world.drain_all()

    row = world.row(conversation)
    assert row.created_at.timestamp() == row.updated_at.timestamp() == 1
    assert world.dead() == []


REFUSED = [
    {"metadata": "{"},
    {"metadata": '{"a": tru}'},
    {"title": "\0"},
    {"title": "\ud800"},
    {"tags": ["\0"]},
]


@pytest.mark.parametrize("poison", REFUSED)
def test_a_refused_set_keeps_its_conversation_and_its_neighbours(
    world: World, poison: dict[str, Any]
) -> None:
    conversation, other = (open_with(world, world.user(), title="a") for _ in range(2))
    say(world, conversation, tags=["before"])
    letter = say(world, conversation, **poison, archived=True)
    say(world, conversation, pinned=True)
    say(world, other, metadata='{"n":1}')
    world.add(conversation, "after")
    world.drain.run()

    assert world.dead() == [(letter, "refused", None)]
    assert world.contents(conversation) == ["after"]
    assert said(world, conversation)[3:] == (True, True)
    assert said(world, other)[1] == {"n": 1}
    assert dead_letters.redrive(world.engine, world.log, world.letter(letter)).state == "dead"


def test_a_refused_open_is_a_conversation_all_the_same(world: World) -> None:
    conversation = open_with(world, world.user(), title="t", metadata="{", tags=["x"])
    world.add(conversation, "first")
    world.drain.run()

    assert [reason for _, reason, _ in world.dead()] == ["refused"]
    assert said(world, conversation) == (None, None, None, False, False)
    assert world.contents(conversation) == ["first"]


def test_a_redriven_set_says_what_nothing_later_said(world: World) -> None:
    conversation = open_with(world, world.user())
    letter = say(world, conversation, title="t", metadata="{", tags=["x"], pinned=True)
    world.drain.run()
    say(world, conversation, tags=["later"])
    world.drain.run()
    repaired = conversation_fields.encode(ConversationFields(title="t", metadata="{}", tags=["x"]))
    world.sql("UPDATE dead_letter SET payload = :payload", payload=repaired)

    outcome = dead_letters.redrive(world.engine, world.log, world.letter(letter))

    assert outcome.state == "redriven"
    assert said(world, conversation) == ("t", {}, ["later"], False, True)


def test_a_discarded_set_changes_nothing(world: World) -> None:
    conversation = open_with(world, world.user(), title="t")
    letter = say(world, conversation, metadata="{")
    world.drain.run()

    dead_letters.discard(world.engine, world.letter(letter), "a test")

    assert said(world, conversation) == ("t", None, None, False, False)
    assert world.counts(conversation.partition) == (1, 0, 1)


def test_an_external_id_that_is_given_out_twice_stops_nothing(world: World) -> None:
    """A defect, or a log that was restored: the second is stored without it, and told."""
    owner = world.user()
    first = open_with(world, owner, title="first", external_id="e")
    world.drain.run()
    name = world.log.key(owner, conversation_fields.external_key(owner, "e"))
    assert world.log.redis.delete(name) == 1
    second = open_with(world, owner, title="second", external_id="e", tags=["x"])
    world.add(second, "to the second")
    world.drain.run()

    assert world.dead() == [(second.id, "refused", None)]
    assert world.contents(second) == ["to the second"]
    assert (world.row(first).external_id, world.row(second).external_id) == ("e", None)
    letter = world.letter(second.id)
    assert dead_letters.redrive(world.engine, world.log, letter).why == "SQLSTATE 23505"
    world.edit("delete", first)
    world.drain.run()
    assert dead_letters.redrive(world.engine, world.log, letter).state == "redriven"
    assert (world.row(second).external_id, world.row(second).title) == ("e", "second")


@pytest.mark.parametrize(
    ("op", "form", "data"),
    [
        ("set", "t", b"text"),
        ("set", "j", b"["),
        ("set", "j", b"[" * 100_000),
        ("set", "j", b'{"color":1}'),
        ("set", "j", b'{"tags":[1]}'),
        ("set", "j", b'{"archived":1}'),
        ("set", "j", b'{"feedback":{"message":1,"rating":"up"}}'),
        ("set", "j", b'{"feedback":{"message":1,"rating":"good","comment":null}}'),
        ("open", "j", b'{"feedback":{"message":1,"rating":"up","comment":null}}'),
        ("set", "j", b'{"external_id":"e"}'),
        ("open", "j", b'{"created_at":1e3}'),
        ("open", "j", b'{"created_at":-1}'),
        ("rename", "j", b'{"title":"x"}'),
    ],
)
def test_what_no_script_wrote_is_malformed_and_stops_nothing(
    world: World, op: str, form: str, data: bytes
) -> None:
    owner = world.user()
    conversation = world.open(owner)
    entry_id = conversation.id + 16
    of = entry_id if op == "open" else conversation.id
    world.put(0, entry_id, h=f"2 {op} {owner} {of}   1 0 {form}", d=data)
    world.log.redis.set(world.log.key(0, "tail"), entry_id)
    world.log.redis.incr(world.log.key(0, "accepted"))
    world.add(conversation, "after")
    world.drain.run()

    assert world.dead() == [(entry_id, "malformed", None)]
    assert world.contents(conversation) == ["after"]
    assert ids.partition_of(entry_id) == 0
