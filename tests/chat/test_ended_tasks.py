"""A task ends though a library swallows its cancellation."""

import asyncio
from contextlib import suppress

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
