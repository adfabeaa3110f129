"""What an adapter takes of the CPU besides the calls that it makes: `frameworks.py` starts it.

It prints the quotient of both: of the CPU time in the adapter's methods, without that in the
client's calls, and of the time in these calls. With the calls counts what the framework takes to
make JSON of its messages, and messages of JSON, as whoever stores them has to. Both are taken in
the same run, so other work on the machine changes little. Each round is a conversation of ten turns
with a tool; the median counts.
"""
# ruff: noqa: PLC0415 - each framework is only where its adapter is

import asyncio
import functools
import gc
import inspect
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from verbatim_client import AsyncClient, Client

TURNS, ROUNDS, WARM_UP = 10, 7, 2
QUESTION = "What is the weather in Paris today, and what will it be like tomorrow?"
ANSWER = "It is sunny in Paris, with 21 degrees; tomorrow it will rain in the afternoon. " * 3
CITY, WEATHER = '{"city": "Paris"}', "sunny, 21 degrees, wind from the west"


class Meter:
    """CPU seconds inside of an adapter's methods, and inside of the calls that they make."""

    def __init__(self) -> None:
        self.adapter = self.calls = 0.0
        self._is_inside = False

    @property
    def overhead(self) -> float:
        return self.adapter / self.calls - 1

    def forms(self, owner: Any, *names: str) -> None:
        """Count with the calls what some names of a module, and their methods, take."""
        for name in names:
            known = getattr(owner, name)
            setattr(owner, name, Measured(self, getattr(known, "measured", known)))

    def form(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call such a function; only what the adapter asks of it counts."""
        begun = time.process_time()
        try:
            return function(*args, **options)
        finally:
            if self._is_inside:
                self.calls += time.process_time() - begun

    def client(self, client: Any) -> Any:
        """Count what a client's calls take."""
        send = client.send

        async def awaited(call: Any) -> Any:
            begun = time.process_time()
            try:
                return await send(call)
            finally:
                self.calls += time.process_time() - begun

        def returned(call: Any) -> Any:
            begun = time.process_time()
            try:
                return send(call)
            finally:
                self.calls += time.process_time() - begun

        client.send = awaited if inspect.iscoroutinefunction(send) else returned
        return client

    def adapted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Count what a method takes, with all that it calls."""

        @functools.wraps(method)
        async def awaited(*args: Any, **options: Any) -> Any:
            begun, inside, self._is_inside = time.process_time(), self._is_inside, True
            try:
                return await method(*args, **options)
            finally:
                self._left(begun, inside)

        @functools.wraps(method)
        def returned(*args: Any, **options: Any) -> Any:
            begun, inside, self._is_inside = time.process_time(), self._is_inside, True
            try:
                return method(*args, **options)
            finally:
                self._left(begun, inside)

        return awaited if inspect.iscoroutinefunction(method) else returned

    def _left(self, begun: float, was_inside: bool) -> None:
        self._is_inside = was_inside
        if not was_inside:
            self.adapter += time.process_time() - begun


class Measured:
    """Stands for a function or an object whose time counts with the calls."""

    def __init__(self, meter: Meter, measured: Any) -> None:
        self.meter = meter
        self.measured = measured

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.meter.form(self.measured, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return Measured(self.meter, getattr(self.measured, name))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return functools.partial(self, instance) if instance is not None else self


def asking() -> dict[str, Any]:
    url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
    return {"url": url, "key": key, "subject": uuid4().hex}


async def agents(meter: Meter) -> None:
    from verbatim_client.agents import VerbatimSession

    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": CITY}
    output = {"type": "function_call_output", "call_id": "c1", "output": WEATHER}
    content = [{"type": "output_text", "text": ANSWER, "annotations": []}]
    answer = {"type": "message", "id": "m", "role": "assistant", "content": content}
    async with AsyncClient(**asking()) as client:
        session = VerbatimSession("one", meter.client(client))
        read, add = meter.adapted(session.get_items), meter.adapted(session.add_items)
        for _ in range(TURNS):
            await read()
            for items in ([{"role": "user", "content": QUESTION}], [call, output], [answer]):
                await add(items)


async def pydantic_ai(meter: Meter) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.conversation import Conversation
    from pydantic_ai.models.test import TestModel

    from verbatim_client import pydantic_ai_form
    from verbatim_client.pydantic_ai import VerbatimConversationStore

    meter.forms(pydantic_ai_form, "ModelMessagesTypeAdapter", "_record")
    agent = Agent(TestModel(custom_output_text=ANSWER))
    agent.tool_plain(weather)
    async with AsyncClient(**asking()) as client:
        store = VerbatimConversationStore(meter.client(client))
        names = ("read_record", "write_record", "read_history", "read_entry")
        for name in names:
            setattr(store, name, meter.adapted(getattr(store, name)))
        for _ in range(TURNS):
            conversation = await store.load("one") or Conversation(conversation_id="one")
            await store.save(await agent.run(QUESTION, conversation=conversation))


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"{city}: {WEATHER}"


async def langchain(meter: Meter) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    from verbatim_client import langchain_form
    from verbatim_client.langchain_middleware import VerbatimMiddleware

    meter.forms(langchain_form, "message_to_dict", "messages_from_dict")
    await asyncio.sleep(0)
    with Client(**asking()) as client:
        middleware = VerbatimMiddleware(meter.client(client))
        middleware._thread = lambda runtime: (client, "one")  # type: ignore[method-assign]
        before, step, after = map(
            meter.adapted,
            (middleware.before_agent, middleware.before_model, middleware.after_agent),
        )
        for turn in range(TURNS):
            call = {"name": "weather", "args": json.loads(CITY), "id": "c1"}
            state: dict[str, Any] = {"messages": [HumanMessage(QUESTION, id=f"q{turn}")]}
            begun = before(state, None)
            state = begun | {"messages": begun["messages"][1:]}
            for new in (
                [],
                [
                    AIMessage("", tool_calls=[call], id=f"c{turn}"),
                    ToolMessage(WEATHER, tool_call_id="c1", id=f"t{turn}"),
                ],
            ):
                state["messages"] += new
                state |= step(state, None)
            state["messages"].append(AIMessage(ANSWER, id=f"a{turn}"))
            after(state, None)


async def chatkit(meter: Meter) -> None:
    from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadMetadata

    from verbatim_client import chatkit_form
    from verbatim_client.chatkit import VerbatimStore

    meter.forms(chatkit_form, "_thread", "_item")
    async with AsyncClient(**asking()) as client:
        store: Any = VerbatimStore(meter.client(client))
        thread = ThreadMetadata(id="one", created_at=datetime.now(UTC))
        await meter.adapted(store.save_thread)(thread, None)
        read, add = meter.adapted(store.load_thread_items), meter.adapted(store.add_thread_item)
        for turn in range(TURNS):
            await read("one", None, 20, "desc", None)
            for number in range(3):
                item = AssistantMessageItem(
                    id=f"{turn}.{number}",
                    thread_id="one",
                    created_at=datetime.now(UTC),
                    content=[AssistantMessageContent(text=ANSWER)],
                )
                await add("one", item, None)


async def agent_framework(meter: Meter) -> None:
    from agent_framework import Content, Message

    from verbatim_client import agent_framework as ours
    from verbatim_client.agent_framework import VerbatimHistoryProvider

    meter.forms(ours, "AgentMessage")
    meter.forms(Message, "to_dict")
    async with AsyncClient(**asking()) as client:
        provider = VerbatimHistoryProvider(meter.client(client))
        read, save = meter.adapted(provider.get_messages), meter.adapted(provider.save_messages)
        call = Content.from_function_call("c1", "weather", arguments=CITY)
        output = Content.from_function_result("c1", result=WEATHER)
        for _ in range(TURNS):
            await read("one")
            turn = (
                ("user", QUESTION),
                ("assistant", call),
                ("tool", output),
                ("assistant", ANSWER),
            )
            await save("one", [Message(role, [said]) for role, said in turn])


async def main() -> None:
    case = globals()[sys.argv[1].replace("-", "_")]
    found = []
    for number in range(WARM_UP + ROUNDS):
        meter = Meter()
        gc.collect()
        gc.disable()
        await case(meter)
        gc.enable()
        if number >= WARM_UP:
            found.append(meter.overhead)
    print(json.dumps({"overhead": round(statistics.median(found), 3), "rounds": len(found)}))


asyncio.run(main())
