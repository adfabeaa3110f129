"""Message histories of LangChain: the same cases over its own store in memory and over ours.

It runs where LangChain is installed, which is not where the server runs:
`tests/clients/frameworks.py` starts it with VERBATIM_URL and VERBATIM_KEY.
"""

import asyncio
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables.history import RunnableWithMessageHistory

from verbatim_client import Client
from verbatim_client.langchain import VerbatimChatMessageHistory

MESSAGES: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage(
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image", "url": "https://example.com/a"},
        ]
    ),
    AIMessage(
        [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "A \0 \ud83d."}],
        id="same",
        tool_calls=[{"name": "look", "args": {"at": 1}, "id": "c1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    ToolMessage("a cat", tool_call_id="c1", artifact={"raw": [1, None]}, status="success"),
    AIMessageChunk("A cat.", id="same"),
    ChatMessage("?", role="critic"),
    HumanMessage(""),
    HumanMessage("Thanks", name="Ada"),
    HumanMessage("Thanks", name="Ada"),
]


@pytest.fixture(params=["in memory", "verbatim"])
def history(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Any]]:
    """What gives a history by its name, of one kind of store."""
    url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
    known: dict[str, Any] = {}
    with Client(url, key, subject=uuid4().hex) as client:

        def named(name: str) -> Any:
            if request.param == "verbatim":
                return VerbatimChatMessageHistory(name, client)
            return known.setdefault(name, InMemoryChatMessageHistory())

        yield named


def test_messages_of_every_kind_come_back_as_they_went(history: Any) -> None:
    history("one").add_messages(MESSAGES[:3])
    history("one").add_messages(MESSAGES[3:])

    assert history("one").messages == MESSAGES


def test_a_history_is_empty_takes_nothing_and_can_be_used_on_when_cleared(history: Any) -> None:
    one, other = history("one"), history("other")
    assert one.messages == []
    one.add_messages([])
    one.clear()
    one.add_user_message("a")
    one.add_ai_message("b")
    other.add_user_message("x")
    one.clear()
    one.add_message(HumanMessage("c"))

    assert one.messages == [HumanMessage("c")]
    assert other.messages == [HumanMessage("x")]


def test_many_messages_stay_in_order(history: Any) -> None:
    many: list[BaseMessage] = [HumanMessage(str(number)) for number in range(250)]
    history("one").add_messages(many)

    assert history("one").messages == many


def test_it_can_be_awaited(history: Any) -> None:
    async def call() -> list[BaseMessage]:
        await history("one").aadd_messages([HumanMessage("a"), AIMessage("b")])
        found: list[BaseMessage] = await history("one").aget_messages()
        await history("one").aclear()
        assert await history("one").aget_messages() == []
        return found

    assert asyncio.run(call()) == [HumanMessage("a"), AIMessage("b")]


def test_an_app_of_runnables_remembers(history: Any) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("one"), AIMessage("two")]))
    with warnings.catch_warnings(action="ignore"):
        app = RunnableWithMessageHistory(model, history)
    config: Any = {"configurable": {"session_id": "chat"}}

    app.invoke([HumanMessage("first")], config)
    list(app.stream([HumanMessage("second")], config))

    said = [message.content for message in history("chat").messages]
    assert said == ["first", "one", "second", "two"]
