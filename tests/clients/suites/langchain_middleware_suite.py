"""Agents of LangChain: the same cases with its own checkpointer in memory, and with ours instead.

It runs where LangChain is installed, which is not where the server runs:
`tests/clients/frameworks.py` starts it with VERBATIM_URL and VERBATIM_KEY.
"""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from verbatim_client import Client
from verbatim_client.langchain import VerbatimChatMessageHistory
from verbatim_client.langchain_middleware import VerbatimMiddleware

CALL = {"name": "weather", "args": {"city": "Paris"}, "id": "c1", "type": "tool_call"}


class Model(GenericFakeChatModel):  # type: ignore[misc] # not installed here
    """Says what it is told to, and knows what it was asked; an error is raised."""

    asked: list[list[BaseMessage]]

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(list(messages))
        return super()._generate(messages, *args, **kwargs)


def model(*answers: Any) -> Model:
    def told() -> Iterator[Any]:
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            yield answer

    return Model(messages=told(), asked=[])


@tool(response_format="content_and_artifact")  # type: ignore[untyped-decorator]
def weather(city: str) -> tuple[str, dict[str, float]]:
    """Tell the weather."""
    return f"sunny in {city}", {"degrees": 21.5}


@pytest.fixture(params=["checkpointer", "verbatim", "both"])
def agent(request: pytest.FixtureRequest, client: Client) -> Callable[..., Any]:
    """What makes an agent with a model; those of one case remember the same threads."""
    saver = InMemorySaver()

    def made(said: Model, *more: AgentMiddleware) -> Any:
        ours = [] if request.param == "checkpointer" else [VerbatimMiddleware(client)]
        return create_agent(
            said,
            [weather],
            middleware=[*more, *ours],
            checkpointer=None if request.param == "verbatim" else saver,
        )

    return made


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(
        os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"], subject=uuid4().hex
    ) as client:
        yield client


def config(thread: str = "one") -> Any:
    return {"configurable": {"thread_id": thread}}


def asking(text: str) -> Any:
    return {"messages": [{"role": "user", "content": text}]}


def told(messages: list[BaseMessage]) -> list[str]:
    return [str(message.content) for message in messages]


def kept(client: Client, thread: str = "one") -> list[BaseMessage]:
    return VerbatimChatMessageHistory(thread, client).messages


TURN = ["In Paris?", "", "sunny in Paris", "Sunny."]


def test_a_run_with_a_tool_is_remembered_by_the_next(agent: Any) -> None:
    said = model(AIMessage("", tool_calls=[CALL]), AIMessage("Sunny."), AIMessage("Yes."))

    first = agent(said).invoke(asking("In Paris?"), config())
    second = agent(said).invoke(asking("Really?"), config())

    assert told(first["messages"]) == TURN
    assert told(said.asked[-1]) == [*TURN, "Really?"]
    assert told(second["messages"]) == [*TURN, "Really?", "Yes."]
    assert second["messages"][1].tool_calls == [CALL]
    assert isinstance(second["messages"][2], ToolMessage)
    assert second["messages"][2].artifact == {"degrees": 21.5}


def test_threads_do_not_know_each_other(agent: Any) -> None:
    said = model(AIMessage("one"), AIMessage("two"))

    agent(said).invoke(asking("first"), config("one"))
    agent(said).invoke(asking("second"), config("two"))

    assert told(said.asked[-1]) == ["second"]


def test_equal_questions_and_answers_are_all_remembered(agent: Any) -> None:
    said = model(*(AIMessage("Yes.") for _ in range(3)))

    answers = [agent(said).invoke(asking("Really?"), config()) for _ in range(3)]

    assert told(answers[-1]["messages"]) == ["Really?", "Yes."] * 3


def test_a_model_that_fails_leaves_the_question(agent: Any) -> None:
    said = model(RuntimeError("boom"))
    with pytest.raises(RuntimeError, match="boom"):
        agent(said).invoke(asking("Hello?"), config())

    after = model(AIMessage("Yes."))
    agent(after).invoke(asking("Are you there?"), config())

    assert told(after.asked[-1]) == ["Hello?", "Are you there?"]


def test_it_can_be_awaited_and_streamed(agent: Any) -> None:
    said = model(AIMessage("one"), AIMessage("two"))

    async def call() -> None:
        await agent(said).ainvoke(asking("first"), config())
        async for _ in agent(said).astream(asking("second"), config(), stream_mode="messages"):
            pass

    asyncio.run(call())
    last = agent(model(AIMessage("three"))).invoke(asking("third"), config())

    assert told(last["messages"]) == ["first", "one", "second", "two", "third", "three"]


def test_many_messages_stay_in_order(agent: Any) -> None:
    many = [HumanMessage(str(number)) for number in range(250)]
    agent(model(AIMessage("done"))).invoke({"messages": many}, config())

    said = model(AIMessage("yes"))
    agent(said).invoke(asking("All?"), config())

    assert told(said.asked[-1]) == [*map(str, range(250)), "done", "All?"]


class Redacting(AgentMiddleware):  # type: ignore[misc] # not installed here
    """Changes the question before it is stored."""

    def before_model(self, state: Any, runtime: Any) -> Any:
        last = state["messages"][-1]
        if not isinstance(last, HumanMessage):
            return None
        return {"messages": [HumanMessage("***", id=last.id)]}


def test_what_other_middleware_makes_of_a_question_is_what_is_stored(agent: Any) -> None:
    said = model(AIMessage("one"), AIMessage("two"))

    agent(said, Redacting()).invoke(asking("secret"), config())
    last = agent(said).invoke(asking("second"), config())

    assert told(last["messages"]) == ["***", "one", "second", "two"]


def test_each_message_is_stored_once_with_a_checkpointer_and_without(
    agent: Any, client: Client, request: pytest.FixtureRequest
) -> None:
    if "checkpointer" in request.node.callspec.id:
        pytest.skip("nothing of ours")
    said = model(AIMessage("", tool_calls=[CALL]), AIMessage("Sunny."), AIMessage("Yes."))

    agent(said).invoke(asking("In Paris?"), config())
    agent(said).invoke(asking("Really?"), config())

    assert told(kept(client)) == [*TURN, "Really?", "Yes."]
    roles = [message.role for message in client.messages("one")]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant"]


def test_answers_with_an_id_that_a_provider_repeats_are_all_stored(client: Client) -> None:
    said = model(*(AIMessage(text, id="same") for text in "123"), AIMessage("4"))
    agent = create_agent(said, middleware=[VerbatimMiddleware(client)])

    answers = [agent.invoke(asking(question), config()) for question in "abcd"]

    assert told(said.asked[-1]) == [*"a1b2c3d"]
    assert told(answers[-1]["messages"]) == [*"a1b2c3d4"]
    assert told(kept(client)) == [*"a1b2c3d4"]
    ids = [message.id for message in answers[-1]["messages"]]
    assert len(ids) == len(set(ids))


def test_two_workers_on_one_thread_store_all_that_each_was_told(client: Client) -> None:
    def work(name: str) -> None:
        agent = create_agent(model(AIMessage(f"{name}!")), middleware=[VerbatimMiddleware(client)])
        agent.invoke(asking(name), config())

    workers = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    found = told(kept(client))
    assert sorted(found) == sorted([*"abcd", *(f"{name}!" for name in "abcd")])
    assert all(found.index(name) < found.index(f"{name}!") for name in "abcd")


def test_a_question_that_is_asked_again_with_its_id_is_stored_once(client: Client) -> None:
    question = {"messages": [HumanMessage("Hello?", id="q")]}
    failing = create_agent(model(RuntimeError("boom")), middleware=[VerbatimMiddleware(client)])
    with pytest.raises(RuntimeError, match="boom"):
        failing.invoke(question, config())
    said = model(AIMessage("a"))
    create_agent(said, middleware=[VerbatimMiddleware(client)]).invoke(question, config())

    assert told(said.asked[-1]) == ["Hello?"]
    assert told(kept(client)) == ["Hello?", "a"]


def test_a_message_whose_calls_somebody_changes_is_stored_anew(client: Client) -> None:
    said = model(AIMessage("", tool_calls=[CALL], id="a"), AIMessage("Sunny."), AIMessage("Yes."))
    ours = VerbatimMiddleware(client)
    agent = create_agent(said, [weather], middleware=[ours], checkpointer=InMemorySaver())
    agent.invoke(asking("In Paris?"), config())
    changed = AIMessage("", tool_calls=[CALL | {"args": {"city": "Rome"}}], id="a")

    agent.invoke({"messages": [changed, HumanMessage("And now?")]}, config())

    calls = [one.tool_calls for one in kept(client) if getattr(one, "tool_calls", None)]
    assert calls == [[CALL], changed.tool_calls]


def test_each_run_is_for_the_person_that_it_names() -> None:
    url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
    names = [uuid4().hex for _ in range(2)]
    with Client(url, key) as client:
        said = model(*map(AIMessage, "abc"))
        middleware = VerbatimMiddleware(client, subject=lambda runtime: runtime.context["user"])
        agent = create_agent(said, middleware=[middleware], context_schema=dict)
        for user in (*names, names[0]):
            agent.invoke(asking("Hello?"), config(), context={"user": user})

        assert told(said.asked[-1]) == ["Hello?", "a", "Hello?"]
        assert told(kept(client.acting_for(names[1]))) == ["Hello?", "b"]


def test_nul_and_half_a_surrogate_pair_come_back(client: Client) -> None:
    # The checkpointer in memory makes a question mark of the latter.
    said = model(AIMessage("a \0 \ud83d"), AIMessage("yes"))
    agent = create_agent(said, middleware=[VerbatimMiddleware(client)])

    agent.invoke(asking("b \0 \ud83d"), config())
    last = agent.invoke(asking("Really?"), config())

    assert told(last["messages"])[:2] == ["b \0 \ud83d", "a \0 \ud83d"]


def test_of_an_artifact_that_is_no_json_the_text_is_kept(client: Client) -> None:
    @tool("weather", response_format="content_and_artifact")  # type: ignore[untyped-decorator]
    def measured(city: str) -> tuple[str, object]:
        """Tell the weather."""
        return f"sunny in {city}", object()

    said = model(AIMessage("", tool_calls=[CALL]), AIMessage("Sunny."))
    agent = create_agent(said, [measured], middleware=[VerbatimMiddleware(client)])

    agent.invoke(asking("In Paris?"), config())

    assert told(kept(client)) == TURN


def test_a_run_without_a_thread_is_refused(client: Client) -> None:
    agent = create_agent(model(AIMessage("a")), middleware=[VerbatimMiddleware(client)])

    with pytest.raises(ValueError, match="thread_id"):
        agent.invoke(asking("Hello?"))


def test_a_turn_with_a_tool_is_a_read_and_three_writes(client: Client) -> None:
    requests: Counter[str] = Counter()

    def count(request: httpx.Request) -> None:
        requests[request.method] += 1

    said = model(AIMessage("one"), AIMessage("", tool_calls=[CALL]), AIMessage("Sunny."))
    agent = create_agent(said, [weather], middleware=[VerbatimMiddleware(client)])
    agent.invoke(asking("first"), config())
    client._http.event_hooks["request"] = [count]

    agent.invoke(asking("In Paris?"), config())

    assert requests == {"GET": 1, "POST": 3}
