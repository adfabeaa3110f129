"""The demo assistant: it needs nothing, and shows that it knows the earlier turns."""

import asyncio
import time

import pytest

from api.chat.assistants.demo import INTRODUCTION, QUOTE_MOST, TOOL, DemoAssistant
from api.chat.assistants.protocol import Piece, ToolCall, ToolResult
from api.core.text import is_content
from api.core.turns import TurnMessage


def talk(*said: str) -> list[TurnMessage]:
    """Return earlier turns in which somebody said these things, and got answers."""
    return [
        turn
        for words in said
        for turn in (TurnMessage("user", words), TurnMessage("assistant", "Noted."))
    ]


def answer(recent: list[TurnMessage], message: str, *, word_ms: int = 0) -> str:
    said = pieces(recent, message, word_ms=word_ms)
    return "".join(piece for piece in said if isinstance(piece, str))


def pieces(recent: list[TurnMessage], message: str, *, word_ms: int = 0) -> list[Piece]:
    async def all_of_it() -> list[Piece]:
        return [p async for p in DemoAssistant(word_ms=word_ms).answer(recent, message)]

    return asyncio.run(all_of_it())


def test_it_answers_a_first_message() -> None:
    assert "“Buy milk”" in answer([], "Buy milk")


@pytest.mark.parametrize("message", ["hello", "Hi!", " *Good morning*, dear bot", "HEY"])
def test_it_introduces_itself_to_who_says_hello_first(message: str) -> None:
    assert answer([], message).startswith(INTRODUCTION)
    assert INTRODUCTION not in answer(talk("Buy milk"), message)


@pytest.mark.parametrize("message", ["Buy milk", "High time", "Say hello to them", "?"])
def test_it_does_not_to_who_comes_to_the_point(message: str) -> None:
    assert INTRODUCTION not in answer([], message)


@pytest.mark.parametrize("message", ["Use a tool", "please use your tools", "a tool call?"])
def test_it_uses_a_tool_where_it_is_asked_to(message: str) -> None:
    call, result, *words = pieces(talk("Buy milk", "Call mum"), message)

    assert call == ToolCall("call_1", TOOL, '{"role": "user"}')
    assert result == ToolResult("call_1", "2")
    assert "counts 2 messages" in "".join(map(str, words))


def test_the_same_conversation_gets_the_same_answer() -> None:
    assert answer(talk("a", "b"), "c") == answer(talk("a", "b"), "c")


def test_it_counts_and_quotes_what_was_said_before() -> None:
    said = answer(talk("Buy milk", "Call mum"), "And bread")

    assert "2 messages" in said
    assert "“Call mum”" in said
    assert "“And bread”" in said


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What did I say first?", "“Buy milk”"),
        ("what was my FIRST message?", "“Buy milk”"),
        ("What did I say before?", "“Call mum”"),
        ("What was my last message?", "“Call mum”"),
        ("How many messages have I sent?", "2 messages"),
    ],
)
def test_it_answers_questions_about_the_conversation(question: str, expected: str) -> None:
    assert expected in answer(talk("Buy milk", "Call mum"), question)


def test_asked_about_nothing_it_says_so() -> None:
    assert answer([], "What did I say first?") == "You have not said anything before this."


@pytest.mark.parametrize("message", ["x" * 100_000, "😀" * 100_000, " ", "\n\t", "\u202e?", "?"])
def test_any_message_gets_an_answer_that_can_be_stored(message: str) -> None:
    said = answer(talk(message), message)

    assert is_content(said)
    assert len(said) < 4 * QUOTE_MOST


def test_it_speaks_word_by_word_at_the_pace_that_is_set() -> None:
    before = time.monotonic()

    said = answer([], "Buy milk", word_ms=5)

    assert time.monotonic() - before >= 0.005 * len(said.split())
    assert said == answer([], "Buy milk")
