"""History providers of Microsoft's Agent Framework: the same cases over its own and over ours.

It runs where the framework is installed, which is not where the server runs:
`tests/clients/frameworks.py` starts it with VERBATIM_URL and VERBATIM_KEY.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from agent_framework import (
    Agent,
    AgentSession,
    BaseChatClient,
    ChatResponse,
    Content,
    FunctionInvocationLayer,
    InMemoryHistoryProvider,
    Message,
    tool,
)

from verbatim_client import AsyncClient, NotAllowed
from verbatim_client.agent_framework import VerbatimHistoryProvider

Case = Callable[[Any], Awaitable[None]]

MESSAGES = [
    Message("system", ["Be brief."]),
    Message("user", ["What is this? \0 \ud83d"], author_name="Ada"),
    Message(
        "assistant",
        [
            Content.from_text_reasoning(text="hm"),
            Content.from_function_call("c1", "look", arguments={"at": 1.5}),
        ],
        message_id="same",
    ),
    Message("tool", [Content.from_function_result("c1", result="y" * 150_000)]),
    Message("assistant", ["A cat.", "Black."], message_id="same"),
    Message("user", ["Thanks"]),
    Message("user", ["Thanks"]),
]


def told(messages: list[Any]) -> list[Any]:
    return [message.to_dict() for message in messages]


def texts(messages: list[Any]) -> list[str]:
    return [message.text for message in messages]


def connection() -> AsyncClient:
    url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
    return AsyncClient(url, key, subject=uuid4().hex)


@pytest.fixture(params=["in memory", "verbatim"])
def run(request: pytest.FixtureRequest) -> Callable[[Case], None]:
    """Run a case with a provider."""

    async def playing(case: Case) -> None:
        async with connection() as client:
            ours = request.param == "verbatim"
            await case(VerbatimHistoryProvider(client) if ours else InMemoryHistoryProvider())

    return lambda case: asyncio.run(playing(case))


def test_messages_of_every_kind_come_back_as_they_went(run: Any) -> None:
    async def case(provider: Any) -> None:
        state: dict[str, Any] = {}
        await provider.save_messages("one", MESSAGES[:3], state=state)
        await provider.save_messages("one", MESSAGES[3:], state=state)
        assert told(await provider.get_messages("one", state=state)) == told(MESSAGES)

    run(case)


def test_a_new_session_has_nothing_and_takes_nothing(run: Any) -> None:
    async def case(provider: Any) -> None:
        state: dict[str, Any] = {}
        assert await provider.get_messages("one", state=state) == []
        await provider.save_messages("one", [], state=state)
        assert await provider.get_messages("one", state=state) == []

    run(case)


def test_many_messages_stay_in_order(run: Any) -> None:
    async def case(provider: Any) -> None:
        state: dict[str, Any] = {}
        many = [Message("user", [str(number)]) for number in range(250)]
        await provider.save_messages("one", many, state=state)
        assert texts(await provider.get_messages("one", state=state)) == [*map(str, range(250))]

    run(case)


class Model(FunctionInvocationLayer[Any], BaseChatClient[Any]):  # type: ignore[misc]
    """Says what it is told to, and knows what it was asked; an error is raised."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    async def _inner_get_response(self, *, messages: Any, **_: Any) -> Any:
        self.asked.append(texts(messages))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return ChatResponse(messages=[answer])


@tool(approval_mode="never_require")  # type: ignore[untyped-decorator]
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


CALL = Message("assistant", [Content.from_function_call("c1", "weather", arguments={"city": "P"})])


def saying(text: str) -> Any:
    return Message("assistant", [text])


def test_a_run_with_a_tool_is_remembered_by_the_next(run: Any) -> None:
    async def case(provider: Any) -> None:
        model = Model(CALL, saying("Sunny."), saying("Yes."))
        agent = Agent(model, tools=[weather], context_providers=[provider])
        session = AgentSession(session_id="one")
        await agent.run("In P?", session=session)
        await agent.run("Really?", session=session)
        assert model.asked[-1] == ["In P?", "", "", "Sunny.", "Really?"]
        stored = await provider.get_messages("one", state=session.state[provider.source_id])
        assert texts(stored) == ["In P?", "", "", "Sunny.", "Really?", "Yes."]

    run(case)


def test_a_model_that_fails_leaves_what_was_there(run: Any) -> None:
    async def case(provider: Any) -> None:
        model = Model(saying("one"), RuntimeError("boom"), saying("three"))
        agent = Agent(model, context_providers=[provider])
        session = AgentSession(session_id="one")
        await agent.run("first", session=session)
        with pytest.raises(RuntimeError, match="boom"):
            await agent.run("second", session=session)
        await agent.run("third", session=session)
        assert model.asked[-1] == ["first", "one", "third"]

    run(case)


def test_a_session_goes_on_in_another_process_and_others_see_its_texts() -> None:
    async def call() -> None:
        async with connection() as client:
            models = [Model(saying(f"answer {number}")) for number in range(2)]
            for number, model in enumerate(models):
                provider = VerbatimHistoryProvider(client)
                agent = Agent(model, context_providers=[provider])
                await agent.run(f"question {number}", session=AgentSession(session_id="one"))
                await client.add_message("one", "user", "between")
            assert models[1].asked[-1] == ["question 0", "answer 0", "between", "question 1"]
            read = [(one.role, one.content) async for one in client.messages("one")]
            assert read[:3] == [
                ("user", "question 0"),
                ("assistant", "answer 0"),
                ("user", "between"),
            ]

    asyncio.run(call())


def test_two_workers_on_one_session_do_not_mix_what_they_store() -> None:
    async def call() -> None:
        async with connection() as client:
            provider = VerbatimHistoryProvider(client)
            pairs = [[Message("user", [f"{n}a"]), saying(f"{n}b")] for n in range(4)]
            await asyncio.gather(*(provider.save_messages("one", pair) for pair in pairs))
            found = texts(await provider.get_messages("one"))
            assert sorted(found[at : at + 2] for at in range(0, 8, 2)) == [
                [f"{n}a", f"{n}b"] for n in range(4)
            ]

    asyncio.run(call())


def test_each_session_is_for_the_person_that_its_state_names() -> None:
    async def call() -> None:
        url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
        ada, eve = ({"user": uuid4().hex} for _ in range(2))
        async with AsyncClient(url, key) as client:
            provider = VerbatimHistoryProvider(client, subject=lambda state: str(state["user"]))
            await provider.save_messages("one", MESSAGES[:1], state=ada)
            assert len(await provider.get_messages("one", state=ada)) == 1
            assert await provider.get_messages("one", state=eve) == []
            with pytest.raises(ValueError, match="no id"):
                await provider.get_messages(None, state=ada)

    asyncio.run(call())


def test_what_is_too_large_is_refused_and_nothing_of_it_is_stored() -> None:
    async def call() -> None:
        async with connection() as client:
            provider = VerbatimHistoryProvider(client)
            await provider.save_messages("one", MESSAGES[:1])
            many = [*(saying(str(n)) for n in range(120)), saying("z" * 300_000)]
            with pytest.raises(NotAllowed):
                await provider.save_messages("one", many)
            assert texts(await provider.get_messages("one")) == ["Be brief."]

    asyncio.run(call())
