"""Sessions of the OpenAI Agents SDK: the same cases over its own store in memory and over ours.

It runs where that SDK is installed, which is not where the server runs:
`tests/clients/frameworks.py` starts it with VERBATIM_URL and VERBATIM_KEY.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from agents import Agent, Runner, SessionSettings, SQLiteSession, function_tool
from agents.memory import Session
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from openai import BadRequestError

from verbatim_client import AsyncClient, Conflict, NotAllowed
from verbatim_client.agents import VerbatimSession

MakeSession = Callable[..., Any]

ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "What is the weather?"},
    {"role": "developer", "content": [{"type": "input_text", "text": "brief"}]},
    {
        "type": "reasoning",
        "id": "same",
        "summary": [],
        "encrypted_content": "x" * 40_000,
    },
    {
        "type": "function_call",
        "id": "same",
        "call_id": "c1",
        "name": "weather",
        "arguments": '{"city": "\\u0000 \ud83d"}',
    },
    {"type": "function_call_output", "call_id": "c1", "output": "y" * 150_000},
    {
        "type": "message",
        "id": "same",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Sunny \0 \ud83d", "annotations": []}],
    },
    {"type": "item_reference", "id": "same"},
    {"type": "a_kind_of_next_year", "nested": {"deep": [1, 2.5, None, True]}},
    {"__enc__": 1, "v": 1, "payload": "opaque"},
    {"role": "user", "content": ""},
    {"role": "user", "content": "What is the weather?"},
]


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


def texts(items: list[Any]) -> list[str]:
    return [item["content"] for item in items]


@pytest.fixture(params=["in memory", "verbatim"])
def run(
    request: pytest.FixtureRequest,
) -> Callable[[Callable[[MakeSession], Awaitable[None]]], None]:
    """Run a case with what makes sessions, by their name, of one kind of store."""

    async def playing(case: Callable[[MakeSession], Awaitable[None]]) -> None:
        async with AsyncExitStack() as opened:
            known: dict[str, Any] = {}
            url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
            client = AsyncClient(url, key, subject=uuid4().hex)
            await opened.enter_async_context(client)

            def session(name: str = "one", **options: Any) -> Any:
                if request.param == "verbatim":
                    return VerbatimSession(name, client, **options)
                if name not in known:
                    known[name] = SQLiteSession(name, **options)
                    opened.callback(known[name].close)
                known[name].session_settings = options.get("session_settings")
                return known[name]

            await case(session)

    return lambda case: asyncio.run(playing(case))


def test_items_of_every_kind_come_back_as_they_went(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        assert isinstance(one, Session)
        await one.add_items(ITEMS[:4])
        await one.add_items(ITEMS[4:])
        assert await one.get_items() == ITEMS

    run(case)


def test_an_empty_session_has_nothing_and_takes_nothing(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        assert await one.get_items() == []
        assert await one.get_items(limit=3) == []
        assert await one.pop_item() is None
        await one.clear_session()
        await one.add_items([])
        assert await one.get_items() == []

    run(case)


def test_a_limit_gives_the_latest_and_beats_that_of_the_settings(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        one = session(session_settings=SessionSettings(limit=2))
        await one.add_items(said("a", "b", "c", "d"))
        assert texts(await one.get_items()) == ["c", "d"]
        assert texts(await one.get_items(limit=3)) == ["b", "c", "d"]
        assert texts(await one.get_items(limit=9)) == ["a", "b", "c", "d"]
        assert await one.get_items(limit=0) == []

    run(case)


def test_the_latest_is_popped_and_the_rest_goes_on(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        await one.add_items(said("a", "b", "b"))
        popped = [await one.pop_item() for _ in range(2)]
        await one.add_items(said("c"))
        assert texts(popped) == ["b", "b"]
        assert texts(await one.get_items()) == ["a", "c"]
        assert texts([await one.pop_item(), await one.pop_item()]) == ["c", "a"]
        assert await one.pop_item() is None

    run(case)


def test_a_session_that_was_cleared_can_be_used_on(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        one, other = session(), session("other")
        await one.add_items(said("a", "b"))
        await other.add_items(said("x"))
        await one.clear_session()
        assert await one.get_items() == []
        await one.add_items(said("c"))
        assert texts(await one.get_items()) == ["c"]
        assert texts(await other.get_items()) == ["x"]

    run(case)


def test_many_items_stay_in_order_and_changing_what_was_read_changes_nothing(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        many = [str(number) for number in range(250)]
        await one.add_items(said(*many))
        read = await one.get_items()
        assert texts(read) == many
        assert texts(await one.get_items(limit=120)) == many[-120:]
        read[0]["content"] = "changed"
        assert texts(await one.get_items(limit=250))[0] == "0"

    run(case)


def test_what_two_add_at_once_does_not_mix_and_each_item_is_popped_once(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        ones = [session() for _ in range(4)]
        await asyncio.gather(*(one.add_items(said(f"{n}a", f"{n}b")) for n, one in enumerate(ones)))
        read = texts(await ones[0].get_items())
        pairs = [read[at : at + 2] for at in range(0, 8, 2)]
        assert sorted(pairs) == [[f"{n}a", f"{n}b"] for n in range(4)]
        popped = await asyncio.gather(*(one.pop_item() for one in ones))
        assert sorted(texts(popped)) == sorted(read[4:])
        assert texts(await ones[1].get_items()) == read[:4]

    run(case)


def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


CALL = function_call("weather", {"city": "Paris"}, call_id="c1")


def agent(*steps: Any) -> Agent[Any]:
    return Agent(name="guide", tools=[function_tool(weather)], model=ScriptedModel(list(steps)))


def kinds(items: list[Any]) -> list[str]:
    return [item.get("role") or item["type"] for item in items]


TURN = ["user", "function_call", "function_call_output", "assistant"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_run_with_a_tool_is_remembered_by_the_next(run: Any, streamed: bool) -> None:
    async def case(session: MakeSession) -> None:
        guide = agent(
            [CALL],
            [assistant_message("Sunny.")],
            [assistant_message("Yes.")],
        )
        for question in ("In Paris?", "Really?"):
            if streamed:
                result = Runner.run_streamed(guide, question, session=session())
                async for _ in result.stream_events():
                    pass
            else:
                await Runner.run(guide, question, session=session())
        items = await session().get_items()
        assert kinds(items) == [*TURN, "user", "assistant"]
        assert kinds(guide.model.last_call.input) == [*TURN, "user"]

    run(case)


def test_a_model_that_fails_leaves_what_the_user_said(run: Any) -> None:
    async def case(session: MakeSession) -> None:
        with pytest.raises(RuntimeError, match="boom"):
            await Runner.run(
                agent(ModelStep.raise_error(RuntimeError("boom"))), "Hello?", session=session()
            )
        assert texts(await session().get_items()) == ["Hello?"]

    run(case)


def test_a_try_that_is_made_again_takes_back_what_it_had_stored(run: Any) -> None:
    """As the SDK does after `conversation_locked`: it pops what it wrote, and reads the tail."""

    async def case(session: MakeSession) -> None:
        request = httpx.Request("POST", "http://model.test")
        body = {"code": "conversation_locked", "message": "busy"}
        response: Any = httpx.Response(400, request=request)
        locked = BadRequestError("busy", response=response, body=body)
        guide = agent(
            [assistant_message("Hi.")], ModelStep.raise_error(locked), [assistant_message("Yes.")]
        )
        await Runner.run(guide, "Hello?", session=session())
        await Runner.run(guide, "Hello?", session=session())
        assert kinds(await session().get_items()) == ["user", "assistant"] * 2

    run(case)


def ours(case: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """Run a case of our own store's alone, with a client of somebody new."""

    async def playing() -> None:
        url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
        async with AsyncClient(url, key, subject=uuid4().hex) as client:
            await case(client)

    asyncio.run(playing())


@pytest.mark.parametrize(("cache", "wanted"), [(False, {"GET": 1, "POST": 3}), (True, {"POST": 3})])
def test_a_turn_with_a_tool_is_three_writes_and_a_read_unless_it_is_remembered(
    cache: bool, wanted: dict[str, int]
) -> None:
    requests: Counter[str] = Counter()

    async def count(request: httpx.Request) -> None:
        requests[request.method] += 1

    async def case(client: AsyncClient) -> None:
        session = VerbatimSession("one", client, cache=cache)
        guide = agent([CALL], [assistant_message("Sunny.")], [CALL], [assistant_message("Sunny.")])
        await Runner.run(guide, "In Paris?", session=session)
        client._http.event_hooks["request"] = [count]
        await Runner.run(guide, "In Paris?", session=session)
        client._http.event_hooks["request"] = []
        assert kinds(await VerbatimSession("one", client).get_items()) == [*TURN, *TURN]

    ours(case)
    assert requests == wanted


def test_what_is_remembered_is_given_up_where_somebody_else_has_written() -> None:
    async def case(client: AsyncClient) -> None:
        one, other = (VerbatimSession("one", client, cache=True) for _ in range(2))
        guide = agent(*([assistant_message(text)] for text in "abcd"))
        await Runner.run(guide, "1?", session=one)
        await Runner.run(guide, "2?", session=other)
        # Nothing was asked of the model, and nothing is stored.
        with pytest.raises(Conflict):
            await Runner.run(guide, "3?", session=one)
        assert guide.model.remaining_steps == 2
        await Runner.run(guide, "3?", session=one)
        assert len(guide.model.last_call.input) == 5
        assert len(await one.get_items()) == 6
        assert kinds(await one.get_items(limit=1)) == ["assistant"]
        # What was written while a run goes on, after its question, is no reason to stop it.
        await one.get_items()
        await one.add_items(said("4?"))
        await VerbatimSession("one", client).add_items(said("meanwhile"))
        await one.add_items(said("4."))
        assert texts((await one.get_items())[-3:]) == ["4?", "meanwhile", "4."]
        assert await one.pop_item() == said("4.")[0]
        assert len(await one.get_items()) == 8

    ours(case)


def test_a_run_tells_whose_session_it_is() -> None:
    async def case(client: AsyncClient) -> None:
        session = VerbatimSession("one", client, subject=lambda run: run.context["user"])
        guide = agent([CALL], [assistant_message("Sunny.")], [assistant_message("Hello.")])
        ada, eve = uuid4().hex, uuid4().hex
        await Runner.run(guide, "In Paris?", session=session, context={"user": ada})
        await Runner.run(guide, "Hello?", session=session, context={"user": eve})
        assert len(guide.model.last_call.input) == 1
        for name, wanted in ((ada, TURN), (eve, ["user", "assistant"])):
            theirs = VerbatimSession("one", client.acting_for(name))
            assert kinds(await theirs.get_items()) == wanted
        with pytest.raises(ValueError, match="context of a run"):
            await session.get_items()

    ours(case)


@pytest.mark.parametrize("limit", [0, -1])
def test_no_items_are_read_where_none_are_asked_for(limit: int) -> None:
    async def case(client: AsyncClient) -> None:
        one = VerbatimSession("one", client, cache=True)
        await one.add_items(said("a"))
        assert await one.get_items(limit=limit) == []
        assert texts(await one.get_items()) == ["a"]
        assert await one.get_items(limit=limit) == []

    ours(case)


def test_what_is_too_large_is_refused_and_nothing_of_it_is_stored() -> None:
    async def case(client: AsyncClient) -> None:
        session = VerbatimSession("one", client)
        image = {"role": "user", "content": [{"type": "input_image", "image_url": "z" * 300_000}]}
        await session.add_items(said("before"))
        with pytest.raises(NotAllowed):
            await session.add_items([*said(*map(str, range(120))), image])
        assert texts(await session.get_items()) == ["before"]

    ours(case)
