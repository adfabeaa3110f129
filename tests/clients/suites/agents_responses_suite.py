"""Agents of OpenAI's Agents SDK, unmodified, whose models are asked through Verbatim's `/v1`.

It runs where that SDK is installed, as `agents_suite.py` does. The model behind calls the tool that
it is given, then says what that answered.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)

SAID = "You said: sunny in Paris"


class SureOpenAI(openai.AsyncOpenAI):
    """Names the key of each write."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._idempotency_header = "Idempotency-Key"


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def run(case: Callable[[openai.AsyncOpenAI, Agent[Any]], Awaitable[None]], **more: Any) -> None:
    """Run a case with a client of somebody new, and an agent that asks through it."""

    async def playing() -> None:
        client = SureOpenAI(
            base_url=f"{os.environ['VERBATIM_URL']}/v1",
            api_key=os.environ["VERBATIM_KEY"],
            default_headers={"Verbatim-User": uuid4().hex},
        )
        async with client:
            model = OpenAIResponsesModel("small", openai_client=client)
            agent: Agent[Any] = Agent("teller", model=model, tools=[function_tool(weather)], **more)
            await case(client, agent)

    asyncio.run(playing())


CONFIG = RunConfig(tracing_disabled=True)


async def kinds(client: openai.AsyncOpenAI, conversation: str) -> list[str]:
    return [one.type async for one in client.conversations.items.list(conversation, order="asc")]


TURN = ["message", "function_call", "function_call_output", "message"]


def test_a_turn_with_a_tool_goes_into_a_conversation_once() -> None:
    async def case(client: openai.AsyncOpenAI, agent: Agent[Any]) -> None:
        opened = (await client.conversations.create()).id
        for _ in range(2):
            done = await Runner.run(agent, "Weather?", conversation_id=opened, run_config=CONFIG)
            assert done.final_output == SAID
        assert await kinds(client, opened) == TURN * 2

    run(case)


def test_a_streamed_turn_goes_on_from_the_response_before() -> None:
    async def case(client: openai.AsyncOpenAI, agent: Agent[Any]) -> None:
        running = Runner.run_streamed(
            agent, "Weather?", auto_previous_response_id=True, run_config=CONFIG
        )
        told = [event async for event in running.stream_events()]
        assert running.final_output == SAID
        raw: list[Any] = [one.data for one in told if one.type == "raw_response_event"]
        deltas = [one.delta for one in raw if one.type == "response.output_text.delta"]
        assert "".join(deltas) == SAID
        last = await client.responses.retrieve(str(running.last_response_id))
        assert last.conversation is not None
        assert await kinds(client, last.conversation.id) == TURN

    run(case)


def test_an_agent_that_keeps_its_conversation_itself_leaves_nothing() -> None:
    async def case(client: openai.AsyncOpenAI, agent: Agent[Any]) -> None:
        done = await Runner.run(agent, "Weather?", run_config=CONFIG)
        assert done.final_output == SAID
        listed: Any = await client.get("/conversations", cast_to=object)
        assert listed["data"] == []

    run(case, model_settings=ModelSettings(store=False))
