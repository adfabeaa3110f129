"""A task ends though a library swallows its cancellation."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from api.chat import leases
from api.core import tasks


def test_a_task_that_swallows_its_cancellation_ends_all_the_same() -> None:
    async def scenario() -> None:
        begun = asyncio.Event()

        async def stubborn() -> None:
            with suppress(asyncio.CancelledError):
                begun.set()
                await asyncio.Event().wait()
            await asyncio.Event().wait()

        task = asyncio.create_task(stubborn())
        await begun.wait()
        ending = asyncio.create_task(tasks.end(task))
        ended, _ = await asyncio.wait([ending], timeout=20)
        assert ended

    asyncio.run(scenario())


def test_a_lease_is_not_renewed_once_its_turn_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0)
    turn: Any = SimpleNamespace(name="turn", lease="token")

    async def scenario() -> None:
        begun = asyncio.Event()

        async def renew(*_: object) -> None:
            if begun.is_set():
                await asyncio.Event().wait()
            with suppress(asyncio.CancelledError):
                begun.set()
                await asyncio.Event().wait()

        turns: Any = SimpleNamespace(renew=renew)
        async with leases.leased(turns, turn):
            await begun.wait()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "renew-lease"]

    asyncio.run(scenario())
