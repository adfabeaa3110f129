"""Stores of Pydantic AI: the same cases over its own store in memory and over ours.

It runs where Pydantic AI is installed, which is not where the server runs:
`tests/clients/frameworks.py` starts it with VERBATIM_URL and VERBATIM_KEY.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict, InMemoryConversationStore
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from verbatim_client import AsyncClient, NotAllowed
from verbatim_client.pydantic_ai import VerbatimConversationStore

Case = Callable[[Any], Awaitable[None]]

MESSAGES: list[ModelMessage] = [
    ModelRequest([SystemPromptPart("Be brief."), UserPromptPart("What is this? \0")]),
    ModelResponse(
        [ThinkingPart("hm", signature="s" * 40_000), ToolCallPart("look", {"at": 1}, "c1")],
        model_name="m",
    ),
    ModelRequest([ToolReturnPart("look", {"cat": [1, None, "y" * 150_000]}, "c1")]),
    ModelResponse([TextPart("A cat.")]),
    ModelRequest(
        [UserPromptPart(["\ud83d?", BinaryContent(b"\0\xff", media_type="application/pdf")])]
    ),
    ModelResponse([TextPart("")]),
    ModelRequest([UserPromptPart("half a pair \ud83d")]),
    ModelRequest([UserPromptPart("Thanks")]),
    ModelRequest([UserPromptPart("Thanks")]),
]


@cache
def said(number: int) -> tuple[ModelMessage, ModelMessage]:
    return (
        ModelRequest([UserPromptPart(f"question {number}")]),
        ModelResponse([TextPart(f"answer {number}")]),
    )


def turn(number: int) -> list[ModelMessage]:
    return [*said(number)]


def conversation(name: str, *messages: ModelMessage) -> Any:
    return Conversation(messages=list(messages), conversation_id=name)


def connection() -> AsyncClient:
    url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
    return AsyncClient(url, key, subject=uuid4().hex)


@pytest.fixture(params=["in memory", "verbatim", "verbatim, two processes"])
def run(request: pytest.FixtureRequest) -> Callable[[Case], None]:
    """Run a case with what gives a store; in turns of two, where there are two processes."""

    async def playing(case: Case) -> None:
        async with connection() as client:
            ours = [VerbatimConversationStore(client) for _ in range(2)]
            known = [InMemoryConversationStore()] if request.param == "in memory" else ours
            turns = iter(range(1000))
            ones = known if request.param.endswith("processes") else known[:1]
            await case(lambda: ones[next(turns) % len(ones)])

    return lambda case: asyncio.run(playing(case))


def test_messages_of_every_kind_come_back_as_they_went(run: Any) -> None:
    async def case(store: Any) -> None:
        one = conversation("one", *MESSAGES[:5])
        stored = await store().save(one)
        one.messages += MESSAGES[5:]
        stored += await store().save(one)
        loaded = await store().load("one")
        assert loaded.messages == MESSAGES
        assert loaded.revision == one.revision
        assert await store().load_entries("one") == stored
        assert await store().read_entry(stored[1].id) == stored[1]

    run(case)


def test_an_empty_store_has_nothing_and_an_empty_conversation_can_be_saved(run: Any) -> None:
    async def case(store: Any) -> None:
        assert await store().load("one") is None
        assert await store().list_conversations() == []
        await store().delete("one")
        assert await store().save(conversation("one")) == []
        loaded = await store().load("one")
        assert loaded.messages == []
        assert await store().save(loaded) == []
        assert [record.conversation_id for record in await store().list_conversations()] == ["one"]
        with pytest.raises(LookupError):
            await store().read_entry("nobody")

    run(case)


def test_a_limit_gives_the_latest_and_what_is_saved_goes_on_from_all(run: Any) -> None:
    async def case(store: Any) -> None:
        await store().save(conversation("one", *turn(1), *turn(2)))
        window = await store().load("one", limit=1)
        assert window.messages == turn(2)[1:]
        window.messages += turn(3)
        await store().save(window)
        assert (await store().load("one")).messages == [*turn(1), *turn(2), *turn(3)]
        assert (await store().load("one", limit=99)).messages == [*turn(1), *turn(2), *turn(3)]
        assert (await store().load("one", limit=0)).messages == []
        assert await store().list_conversations(limit=0) == []
        for refused in (store().load("one", limit=-1), store().list_conversations(limit=-1)):
            with pytest.raises(UserError):
                await refused

    run(case)


def test_of_two_who_save_one_conversation_the_second_is_refused_and_leaves_nothing(
    run: Any,
) -> None:
    async def case(store: Any) -> None:
        await store().save(conversation("one", *turn(1)))
        ones = [await store().load("one") for _ in range(2)]
        for number, one in enumerate(ones):
            one.messages += turn(2 + number)
        await store().save(ones[0])
        with pytest.raises(ConversationConflict):
            await store().save(ones[1])
        with pytest.raises(ConversationConflict):
            await store().save(conversation("one", *turn(4)))
        assert (await store().load("one")).messages == [*turn(1), *turn(2)]

    run(case)


def test_of_many_who_save_at_once_one_wins_each_time(run: Any) -> None:
    async def case(store: Any) -> None:
        async def save(number: int) -> bool:
            kept = conversation("one", *turn(number))
            try:
                await store().save(kept)
            except ConversationConflict:
                return False
            return True

        won = await asyncio.gather(*map(save, range(4)))
        assert sum(won) == 1
        assert (await store().load("one")).messages == turn(won.index(True))

    run(case)


def test_a_branch_leaves_what_was_there_and_can_be_left_for_it(run: Any) -> None:
    async def case(store: Any) -> None:
        first = await store().save(conversation("one", *turn(1), *turn(2)))
        loaded = await store().load("one")
        other = await store().branch("one", at=2, expected_revision=loaded.revision)
        other.messages += turn(3)
        await store().save(other)
        assert (await store().load("one")).messages == [*turn(1), *turn(3)]
        (record,) = await store().list_conversations()
        assert record.branches == [first[-1].id]
        back = await store().branch(
            "one", from_entry=first[-1].id, expected_revision=other.revision
        )
        assert back.messages == [*turn(1), *turn(2)]
        back.messages += turn(4)
        await store().save(back)
        assert (await store().load("one")).messages == [*turn(1), *turn(2), *turn(4)]
        with pytest.raises(ConversationConflict):
            await store().branch("one", at=0, expected_revision=loaded.revision)

    run(case)


def test_a_fork_stays_when_its_source_is_deleted(run: Any) -> None:
    async def case(store: Any) -> None:
        entries = await store().save(conversation("one", *turn(1), *turn(2)))
        fork = await store().fork("one", at=2, new_conversation_id="two")
        assert fork.messages == turn(1)
        await store().delete("one")
        assert await store().load("one") is None
        fork.messages += turn(3)
        await store().save(fork)
        assert (await store().load("two")).messages == [*turn(1), *turn(3)]
        assert await store().read_entry(entries[1].id) == entries[1]
        with pytest.raises(LookupError):
            await store().read_entry(entries[3].id)
        (record,) = await store().list_conversations()
        assert (record.conversation_id, record.forked_from) == ("two", "one")

    run(case)


def test_what_is_deleted_can_be_saved_anew_but_not_by_who_loaded_it_before(run: Any) -> None:
    async def case(store: Any) -> None:
        old = conversation("one", *turn(1))
        await store().save(old)
        await store().delete("one")
        old.messages += turn(2)
        with pytest.raises(ConversationConflict):
            await store().save(old)
        await store().save(conversation("one", *turn(3)))
        assert (await store().load("one")).messages == turn(3)

    run(case)


def test_conversations_are_listed_by_their_scope_the_latest_first(run: Any) -> None:
    async def case(store: Any) -> None:
        scopes = {"a": "ada", "b": "eve", "c": "ada", "d": None, "e": "x" * 300}
        for name, scope in scopes.items():
            await store().save(conversation(name, *turn(1)), scope=scope)

        async def listed(**options: Any) -> list[str]:
            records = await store().list_conversations(**options)
            return [record.conversation_id for record in records]

        assert await listed() == ["e", "d", "c", "b", "a"]
        assert await listed(limit=2) == ["e", "d"]
        assert await listed(scope="ada") == ["c", "a"]
        assert await listed(scope="x" * 300) == ["e"]
        assert await store().load("a", scope="eve") is None
        await store().delete("a", scope="eve")
        assert (await store().load("a", scope="ada")).messages == turn(1)
        await store().delete("a")
        await store().save(conversation("a", *turn(2)), scope="eve")
        assert await listed(scope="eve") == ["a", "b"]
        assert await listed(scope="ada") == ["c"]

    run(case)


def test_many_messages_are_saved_at_once_and_what_was_read_can_be_changed(run: Any) -> None:
    async def case(store: Any) -> None:
        many = [message for number in range(125) for message in turn(number)]
        await store().save(conversation("one", *many))
        loaded = await store().load("one")
        assert loaded.messages == many
        loaded.messages.clear()
        assert (await store().load("one", limit=120)).messages == many[-120:]

    run(case)


def talker(*answers: str) -> Any:
    told = iter(answers)

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if not any(isinstance(part, ToolReturnPart) for part in messages[-1].parts):
            return ModelResponse([ToolCallPart("weather", {"city": "Paris"})])
        return ModelResponse([TextPart(next(told))])

    agent = Agent(FunctionModel(answer))

    @agent.tool_plain  # type: ignore[untyped-decorator]
    def weather(city: str) -> str:
        return f"sunny in {city}"

    return agent


def test_a_run_with_a_tool_is_remembered_by_the_next(run: Any) -> None:
    async def case(store: Any) -> None:
        agent = talker("Sunny.", "Yes.")
        for question in ("In Paris?", "Really?"):
            loaded = await store().load("one") or conversation("one")
            await store().save(await agent.run(question, conversation=loaded))
        loaded = await store().load("one")
        assert len(loaded.messages) == 8
        assert loaded.usage.requests == 4
        assert loaded.messages[-1].parts == [TextPart("Yes.")]

    run(case)


def test_a_save_is_a_read_and_a_write() -> None:
    requests: Counter[str] = Counter()

    async def count(request: httpx.Request) -> None:
        requests[request.method] += 1

    async def call() -> None:
        async with connection() as client:
            store = VerbatimConversationStore(client)
            one = conversation("one", *turn(1))
            await store.save(one)
            client._http.event_hooks["request"] = [count]
            one.messages += turn(2)
            await store.save(one)

    asyncio.run(call())
    # `save` reads the record, and writing it compares it with what is stored then.
    assert requests == {"GET": 2, "POST": 1}


def test_other_clients_see_the_texts_and_add_messages_of_their_own() -> None:
    async def call() -> None:
        async with connection() as client:
            store = VerbatimConversationStore(client)
            await client.open_conversation(external_id="one")
            await client.add_message("one", "user", "before")
            await store.save(conversation("one", *MESSAGES))
            await client.add_message("one", "user", "between")
            loaded = await store.load("one")
            assert loaded is not None
            assert loaded.messages == MESSAGES
            loaded.messages += turn(1)
            await store.save(loaded)
            told = [(one.role, one.content) async for one in client.messages("one")]
            assert told[:5] == [
                ("user", "before"),
                ("user", "What is this? \ufffd"),
                ("assistant", ""),
                ("tool", ""),
                ("assistant", "A cat."),
            ]
            assert told[10:] == [
                ("user", "between"),
                ("user", "question 1"),
                ("assistant", "answer 1"),
            ]
            assert [record.conversation_id for record in await store.list_conversations()] == [
                "one"
            ]

    asyncio.run(call())


def test_a_deletion_that_was_cut_short_is_finished_by_who_comes_next() -> None:
    async def call() -> None:
        async with connection() as client:
            store = VerbatimConversationStore(client)
            await store.save(conversation("one", *turn(1)))

            async def cut(_: int) -> None:
                raise ConnectionError

            store._erase = cut  # type: ignore[method-assign, assignment]
            with pytest.raises(ConnectionError):
                await store.delete("one")
            assert await VerbatimConversationStore(client).load("one") is None
            assert [one async for one in client.conversations()] == []

    asyncio.run(call())


def test_what_is_too_large_is_refused_and_nothing_of_it_is_stored() -> None:
    async def call() -> None:
        async with connection() as client:
            store = VerbatimConversationStore(client)
            one = conversation("one", *turn(1))
            await store.save(one)
            one.messages += [*turn(2), ModelRequest([UserPromptPart("z" * 300_000)])]
            with pytest.raises(NotAllowed):
                await store.save(one)
            loaded = await store.load("one")
            assert loaded is not None
            assert loaded.messages == turn(1)

    asyncio.run(call())
