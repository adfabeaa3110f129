"""What the log knows of a conversation's instructions, on every Redis."""

from dataclasses import replace

import pytest
from redis import Redis

from api.core.accept_requests import AcceptRequest
from api.core.conversation_fields import instructions_in
from api.core.log import Log
from tests.support.log_requests import open_conversation, submit, turn


def told(conversation: int, instructions: str | None) -> AcceptRequest:
    """Change what is said of a conversation, and with it what its assistant is told."""
    return AcceptRequest(
        *("set", 1, "edit", conversation), data=b"{}", form="j", instructions=instructions
    )


def heard(log: Log, conversation: int) -> str:
    (answer,) = submit(log, turn(conversation, "Hello"))
    assert answer.status == "ok"
    return answer.instructions


def test_a_turn_is_told_the_latest_instructions(log: Log) -> None:
    opening = AcceptRequest("open", 1, "open", data=b"{}", form="j", instructions="Be brief.")
    (opened,) = submit(log, opening)

    assert heard(log, opened.id) == "Be brief."
    submit(log, told(opened.id, "Be 🥛."))
    submit(log, told(opened.id, None))
    assert heard(log, opened.id) == "Be 🥛."
    submit(log, told(opened.id, ""))
    assert heard(log, opened.id) == ""


def test_a_turn_that_is_repeated_is_told_them_too(log: Log) -> None:
    conversation = open_conversation(log)
    submit(log, told(conversation, "Be brief."))

    answers = submit(log, turn(conversation, "Hi", key="a"), turn(conversation, "Hi", key="a"))

    assert [(one.status, one.instructions) for one in answers] == [
        ("ok", "Be brief."),
        ("replay", "Be brief."),
    ]


def test_what_was_forgotten_is_what_postgresql_says_unless_somebody_said_it_meanwhile(
    log: Log, redis: Redis
) -> None:
    conversation = open_conversation(log)
    submit(log, told(conversation, "Be brief."))
    redis.delete(log.key(conversation, f"conv:{conversation}"))
    asked = replace(turn(conversation, "Hello"), state="live", as_of="skip")

    (first,) = submit(log, replace(asked, instructions="Be kind."))
    (second,) = submit(log, replace(asked, instructions="Be late."))

    assert (first.instructions, second.instructions) == ("Be kind.", "Be kind.")
    assert heard(log, conversation) == "Be kind."


@pytest.mark.parametrize(
    ("metadata", "instructions"),
    [
        (None, ""),
        ("{}", ""),
        ('{"instructions": 7}', ""),
        ('{"instructions": " \\u200b"}', ""),
        ('{"instructions": "a\\u0000b"}', "a\ufffdb"),
        ('{"\\u0069nstructions": " Be brief. "}', " Be brief. "),
    ],
)
def test_instructions_are_a_text_of_the_metadata(metadata: str | None, instructions: str) -> None:
    assert instructions_in(metadata) == instructions
