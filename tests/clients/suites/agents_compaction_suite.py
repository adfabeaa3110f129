"""Sessions of the OpenAI Agents SDK inside its own wrappers: compaction and encryption.

The same cases over its own store in memory and over ours. It runs where that SDK is installed, as
`agents_suite.py` does.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from agents import Agent, Runner, SQLiteSession
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession
from agents.testing import ScriptedModel, assistant_message

from verbatim_client import AsyncClient
from verbatim_client.agents import VerbatimSession

#: Named so that no other item is like it.
SUMMARY: dict[str, Any] = {"type": "compaction", "encrypted_content": "all that was"}
Store = Any
Case = Callable[[Store, AsyncClient], Awaitable[None]]


def said(*texts: str) -> list[Any]:
    return [{"role": "user", "content": text} for text in texts]


def told(items: list[Any]) -> list[str]:
    return [item.get("content") or item["encrypted_content"] for item in items]


@pytest.fixture(params=["in memory", "verbatim"])
def run(request: pytest.FixtureRequest) -> Callable[[Case], None]:
    """Run a case with a session, and a client that sees what Verbatim has of it."""

    async def playing(case: Case) -> None:
        url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
        async with AsyncClient(url, key, subject=uuid4().hex) as client:
            if request.param == "verbatim":
                await case(VerbatimSession("one", client), client)
                return
            store = SQLiteSession("one")
            try:
                await case(store, client)
            finally:
                store.close()

    return lambda case: asyncio.run(playing(case))


class Compactor:
    """In place of OpenAI's client: makes one summary of whatever it is given."""

    def __init__(self) -> None:
        self.responses = self
        self.given: list[Any] = []

    async def compact(self, **asked: Any) -> Any:
        self.given.append(asked.get("input"))
        return SimpleNamespace(output=[SUMMARY], usage=None)


def compacting(store: Store, compactor: Compactor, after: int = 3) -> Any:
    return OpenAIResponsesCompactionSession(
        "one",
        store,
        client=compactor,
        compaction_mode="input",
        should_trigger_compaction=lambda known: len(known["session_items"]) > after,
    )


def guide(*answers: str) -> Agent[Any]:
    model = ScriptedModel([[assistant_message(answer)] for answer in answers])
    return Agent(name="guide", model=model)


def test_a_run_compacts_what_is_long_and_the_next_goes_on_from_it(run: Any) -> None:
    async def case(store: Store, client: AsyncClient) -> None:
        compactor = Compactor()
        agent = guide("One.", "Two.", "Three.")
        for question in ("1?", "2?", "3?"):
            await Runner.run(agent, question, session=compacting(store, compactor))
        (given,) = compactor.given
        assert [one["role"] for one in given] == ["user", "assistant", "user", "assistant"]
        assert told(agent.model.last_call.input) == ["all that was", "3?"]
        assert [one.get("role") or one["type"] for one in await store.get_items()] == [
            *("compaction", "user", "assistant")
        ]
        if isinstance(store, VerbatimSession):
            # People read on what was said.
            shown = [one async for one in client.messages("one")]
            assert [one.content for one in shown if one.role != "system"] == [
                *("1?", "One.", "2?", "Two.", "3?", "Three.")
            ]

    run(case)


def test_encrypted_sessions_are_compacted_too(run: Any) -> None:
    async def case(store: Store, client: AsyncClient) -> None:
        compactor = Compactor()
        session = EncryptedSession("one", compacting(store, compactor), "secret")
        agent = guide("One.", "Two.", "Three.")
        for question in ("1?", "2?", "3?"):
            await Runner.run(agent, question, session=session)
        assert told(agent.model.last_call.input) == ["all that was", "3?"]
        assert told(await session.get_items())[0] == "all that was"
        assert all(item["__enc__"] == 1 for item in await store.get_items())
        if isinstance(store, VerbatimSession):
            assert not [one.content async for one in client.messages("one") if one.content]

    run(case)


def test_compaction_that_is_asked_for_takes_the_place_of_everything(run: Any) -> None:
    async def case(store: Store, client: AsyncClient) -> None:
        session = compacting(store, Compactor())
        await session.run_compaction({"force": True})
        assert await session.get_items() == [SUMMARY]
        await session.add_items(said("a", "b"))
        await session.run_compaction({"force": True})
        assert await session.get_items() == [SUMMARY]
        assert await session.pop_item() == SUMMARY
        assert await session.get_items() == []
        assert await session.pop_item() is None
        await session.add_items(said("c"))
        assert told(await session.get_items(limit=5)) == ["c"]
        await session.clear_session()
        assert await session.get_items() == []
        del client

    run(case)


def test_the_end_of_a_history_is_replaced_unless_it_has_changed(run: Any) -> None:
    async def case(store: Store, client: AsyncClient) -> None:
        await store.add_items(said("a", "b", "c", "d"))
        snapshot = await store._get_compaction_snapshot(3)
        assert (told(snapshot.items), snapshot.complete) == (["b", "c", "d"], False)
        assert (await store._get_compaction_snapshot(4)).complete
        assert await snapshot.replace_suffix(1, [SUMMARY])
        assert told(await store.get_items()) == ["a", "b", "all that was"]
        # What it was made of is not there any more.
        assert not await snapshot.replace_suffix(1, [SUMMARY])
        late = await store._get_compaction_snapshot(9)
        await store.add_items(said("e"))
        assert not await late.replace_suffix(0, [])
        assert not await late.replace_suffix(3, [SUMMARY])
        assert told(await store.get_items()) == ["a", "b", "all that was", "e"]
        assert told(await store.get_items(limit=2)) == ["all that was", "e"]
        popped = [await store.pop_item() for _ in range(3)]
        assert told(popped) == ["e", "all that was", "b"]
        assert told(await store.get_items()) == ["a"]
        del client

    run(case)


def test_a_long_summary_is_as_atomic(run: Any) -> None:
    async def case(store: Store, client: AsyncClient) -> None:
        await store.add_items(said("a", "b"))
        snapshot = await store._get_compaction_snapshot(9)
        many = said(*(f"{number} {'x' * 2_000}" for number in range(250)))
        assert await snapshot.replace_suffix(1, many)
        assert await store.get_items() == [*said("a"), *many]
        assert await store.get_items(limit=120) == many[-120:]
        assert await store.pop_item() == many[-1]
        assert await store.get_items() == [*said("a"), *many[:-1]]
        del client

    run(case)


@pytest.mark.parametrize("seed", range(3))
def test_any_course_of_changes_leads_to_the_same_items(seed: int) -> None:
    """What is read after each of many changes is what the SDK's own store has."""
    chance = random.Random(seed)

    async def case() -> None:
        url, key = os.environ["VERBATIM_URL"], os.environ["VERBATIM_KEY"]
        async with AsyncClient(url, key, subject=uuid4().hex) as client:
            ours, theirs = VerbatimSession("one", client), SQLiteSession("one")
            for step in range(50):
                await change(chance, ours, theirs, step)
                limit = chance.choice([None, 1, 3, 10])
                assert await ours.get_items(limit) == await theirs.get_items(limit)
            theirs.close()

    asyncio.run(case())


async def change(chance: random.Random, ours: Store, theirs: Store, step: int) -> None:
    """Make the same change to both stores."""
    kind = chance.choice(["add", "add", "pop", "pop", "compact", "compact", "clear"])
    if kind == "add" or step == 0:
        items = said(*(f"{step}.{number}" for number in range(chance.randint(1, 4))))
        for store in (ours, theirs):
            await store.add_items(items)
    elif kind == "pop":
        assert await ours.pop_item() == await theirs.pop_item()
    elif kind == "compact":
        output = said(*(f"s{step}.{number}" for number in range(chance.randint(0, 3))))
        limit, start = chance.randint(1, 6), chance.random()
        snapshots = [await store._get_compaction_snapshot(limit) for store in (ours, theirs)]
        assert snapshots[0].items == snapshots[1].items
        assert snapshots[0].complete == snapshots[1].complete
        for one in snapshots:
            await one.replace_suffix(int(start * len(one.items)), output)
    elif chance.random() < 0.2:
        for store in (ours, theirs):
            await store.clear_session()
