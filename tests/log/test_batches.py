"""Batches: several messages in one entry, known by their external ids."""

import json
from dataclasses import replace
from typing import Any

import pytest

from api.core import batches
from api.core.accept_requests import AcceptRequest
from api.core.batches import AddedMessage, Draft
from api.core.log import Log
from tests.support.log_requests import (
    LIMITS,
    edit,
    message,
    open_conversation,
    submit,
    turn,
)

EXTRA = '{"item": "\\u0000 é", "big": 12345678901234567890.10, "a": 1, "a": 2}'
A = Draft("user", "a", "ext-a", EXTRA)
B = Draft("tool", "", None, "{}")
C = Draft("assistant", "c", "ext-c")


def batch(conversation: int, *drafts: Draft, owner: int = 1, key: str = "") -> AcceptRequest:
    return AcceptRequest.batch(owner, conversation, drafts, key=key)


def test_a_batch_is_one_entry_with_an_id_for_each_message(log: Log) -> None:
    conversation = open_conversation(log)

    (answer,) = submit(log, batch(conversation, A, B, C))
    (after,) = submit(log, message(conversation, "after"))

    _, entry, last = log.read([0], 10, 10**6)[0]
    first = entry.id - 32
    assert (answer.status, answer.id, entry.op) == ("ok", entry.id, "adds")
    assert entry.messages == (
        AddedMessage(first, "user", b"a", "ext-a", EXTRA),
        AddedMessage(first + 16, "tool", b"", None, "{}"),
        AddedMessage(first + 32, "assistant", b"c", "ext-c", None),
    )
    assert first > conversation
    assert last.id == after.id > entry.id


def test_a_batch_that_is_repeated_is_accepted_once(log: Log) -> None:
    conversation = open_conversation(log)
    (once,) = submit(log, batch(conversation, A, C))

    again, keyed = submit(log, batch(conversation, A, C), batch(conversation, A, C, key="k"))
    # In the batch's place its last message, in the message's place itself.
    first, second = submit(log, batch(conversation, A), batch(conversation, C))

    assert {(a.status, a.id) for a in (again, keyed)} == {("replay", once.id)}
    assert (first.status, first.id) == ("replay", once.id - 16)
    assert (second.status, second.id) == ("replay", once.id)
    assert len(log.read([0], 10, 10**6)[0]) == 2


def test_an_external_id_has_one_message_in_its_conversation(log: Log) -> None:
    here, there = open_conversation(log), open_conversation(log)
    submit(log, batch(here, A))

    other, partly, elsewhere = submit(
        log, batch(here, B, A._replace(content="b")), batch(here, B, A), batch(there, A)
    )

    assert [(a.status, a.id) for a in (other, partly)] == [("taken", 1)] * 2
    assert elsewhere.status == "ok"


def test_a_batch_counts_with_all_its_messages(log: Log) -> None:
    conversation = open_conversation(log)
    few = replace(LIMITS, user_writes_per_minute=4)

    first, second = submit(log, batch(conversation, A, B, C), batch(conversation, B, B), limits=few)

    assert (first.status, second.status) == ("ok", "quota")


def test_a_closed_conversation_takes_no_batch(log: Log) -> None:
    conversation = open_conversation(log)
    submit(log, edit("close", conversation))

    (answer,) = submit(log, batch(conversation, A))

    assert answer.status == "conversation_closed"


def test_the_assistant_is_given_the_texts_of_users_and_its_own(log: Log) -> None:
    conversation = open_conversation(log)
    (added,) = submit(log, batch(conversation, A, B, C))
    submit(log, AcceptRequest("add", 1, "message", conversation, "system", data=b"be brief"))

    (answer,) = submit(log, turn(conversation, "next"))

    assert answer.warm
    assert answer.recent == (
        b"%d:user:a" % (added.id - 32),
        b"%d:assistant:c" % added.id,
    )


PLAIN = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    "element",
    [
        "a",
        {"role": "user"},
        {"content": "a"},
        PLAIN | {"role": "robot"},
        PLAIN | {"role": ["user"]},
        PLAIN | {"content": 1},
        PLAIN | {"external_id": 1},
        PLAIN | {"extra": {}},
        PLAIN | {"created_at": -1},
        PLAIN | {"created_at": True},
        PLAIN | {"status": "stored"},
    ],
)
def test_what_is_no_message_makes_a_batch_unreadable(element: Any) -> None:
    with pytest.raises(ValueError, match="a message has a role"):
        batches.decode(4096, json.dumps([PLAIN, element]).encode())
