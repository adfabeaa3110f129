"""`OpenAIConversationsSession` of the OpenAI Agents SDK, unmodified, over Verbatim's `/v1`.

It runs where that SDK is installed, as `agents_suite.py` does.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import openai
import pytest
from agents import Agent, OpenAIConversationsSession, Runner, SessionSettings, function_tool
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

MakeSession = Callable[..., Any]
#: Filled in, or given anew, by whoever keeps conversations.
OWN = ("id", "status", "type")

ITEMS: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "same", "summary": [], "encrypted_content": "x" * 40_000},
    {
        "type": "function_call",
        "id": "same",
        "call_id": "c1",
        "name": "weather",
        "arguments": '{"city": "\\u0000 \\ud83d"}',
    },
    {"type": "function_call_output", "call_id": "c1", "output": "y" * 150_000},
    {
        "type": "message",
        "id": "same",
        "role": "assistant",
        "status": "completed",
        "phase": "final_answer",
        "content": [{"type": "output_text", "text": "Sunny \0", "annotations": []}],
    },
    {"type": "a_kind_of_next_year", "nested": {"deep": [1, 2.5, None, True]}},
]


class SureOpenAI(openai.AsyncOpenAI):
    """Names the key of each write, also after `with_options`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._idempotency_header = "Idempotency-Key"


def run(case: Callable[[MakeSession], Awaitable[None]]) -> None:
    """Run a case with what makes sessions of somebody new; each is a new one, unless named."""

    async def playing() -> None:
        client = SureOpenAI(
            base_url=f"{os.environ['VERBATIM_URL']}/v1",
            api_key=os.environ["VERBATIM_KEY"],
            default_headers={"Verbatim-User": uuid4().hex},
        )
        async with client:
            await case(
                lambda **options: OpenAIConversationsSession(openai_client=client, **options)
            )

    asyncio.run(playing())


def said(*texts: str) -> list[Any]:
    return [{"role": "user", "content": text} for text in texts]


def texts(items: list[Any]) -> list[str]:
    return [item["content"][0]["text"] for item in items]


def bare(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in OWN}


def test_items_of_every_kind_come_back_as_they_went() -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        items: list[Any] = [*ITEMS, *said("twice", "twice")]
        await one.add_items(items)
        found: list[Any] = await one.get_items()
        assert [bare(item) for item in found[: len(ITEMS)]] == [bare(item) for item in ITEMS]
        assert texts(found[len(ITEMS) :]) == ["twice", "twice"]
        assert len({item["id"] for item in found}) == len(found)
        # What was read is added as it is.
        other = session()
        await other.add_items(found)
        assert [bare(item) for item in await other.get_items()] == [bare(item) for item in found]

    run(case)


def test_an_empty_session_has_nothing_and_takes_nothing() -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        await one.add_items([])
        await one.clear_session()
        assert await one.get_items() == []
        assert await one.get_items(limit=0) == []
        assert await one.pop_item() is None

    run(case)


def test_the_latest_are_read_and_popped() -> None:
    async def case(session: MakeSession) -> None:
        one = session(session_settings=SessionSettings(limit=2))
        await one.add_items(said("a", "b", "c", "c"))
        assert texts(await one.get_items()) == ["c", "c"]
        assert texts(await one.get_items(limit=3)) == ["b", "c", "c"]
        popped: list[Any] = [await one.pop_item() for _ in range(2)]
        await one.add_items(said("d"))
        assert texts(popped) == ["c", "c"]
        assert texts(await one.get_items(limit=9)) == ["a", "b", "d"]

    run(case)


def test_many_items_stay_in_order() -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        many = [str(number) for number in range(130)]
        await one.add_items(said(*many))
        assert texts(await one.get_items()) == many
        assert texts(await one.get_items(limit=110)) == many[-110:]

    run(case)


def test_two_workers_share_a_session_and_each_item_is_popped_once() -> None:
    async def case(session: MakeSession) -> None:
        first = session()
        await first.get_items()
        ones = [first, *(session(conversation_id=first.session_id) for _ in range(3))]
        await asyncio.gather(*(one.add_items(said(f"{n}a", f"{n}b")) for n, one in enumerate(ones)))
        read = texts(await first.get_items())
        pairs = [read[at : at + 2] for at in range(0, 8, 2)]
        assert sorted(pairs) == [[f"{n}a", f"{n}b"] for n in range(4)]
        results = await asyncio.gather(*(one.pop_item() for one in ones), return_exceptions=True)
        popped: list[Any] = [one for one in results if isinstance(one, dict)]
        # Who comes too late is told so.
        assert all(isinstance(one, dict | openai.NotFoundError) for one in results)
        assert sorted(texts(popped)) == sorted(read[8 - len(popped) :])
        assert texts(await first.get_items()) == read[: 8 - len(popped)]

    run(case)


def test_a_session_that_was_cleared_is_gone_and_begins_anew() -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        await one.add_items(said("a"))
        before = one.session_id
        await one.clear_session()
        assert await one.get_items() == []
        assert one.session_id != before
        with pytest.raises(openai.NotFoundError):
            await session(conversation_id=before).get_items()

    run(case)


def weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


def test_a_run_with_a_tool_is_remembered_by_the_next() -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        call = function_call("weather", {"city": "Paris"}, call_id="c1")
        steps: list[Any] = [[call], [assistant_message("Sunny.")], [assistant_message("Yes.")]]
        steps.append(ModelStep.raise_error(RuntimeError("boom")))
        model = ScriptedModel(steps)
        guide: Agent[Any] = Agent(name="guide", tools=[function_tool(weather)], model=model)
        for question in ("In Paris?", "Really?"):
            await Runner.run(guide, question, session=one)
        with pytest.raises(RuntimeError, match="boom"):
            await Runner.run(guide, "And now?", session=one)
        found: list[Any] = await one.get_items()
        kinds = [item.get("role") or item["type"] for item in found]
        turn = ["user", "function_call", "function_call_output", "assistant"]
        assert kinds == [*turn, "user", "assistant", "user"]

    run(case)


def test_what_is_too_large_is_refused_and_nothing_of_it_is_stored() -> None:
    async def case(session: MakeSession) -> None:
        one = session()
        await one.add_items(said("before"))
        for size, refusal in (
            (300_000, openai.BadRequestError),
            (1_500_000, openai.APIStatusError),
        ):
            image = {"type": "input_image", "image_url": "z" * size}
            with pytest.raises(refusal, match=r"256 KiB|1 MiB"):
                await one.add_items([*said("x"), {"role": "user", "content": [image]}])
        assert texts(await one.get_items()) == ["before"]

    run(case)
