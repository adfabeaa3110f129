"""Ends asyncio tasks that talk to Redis."""

import asyncio
from contextlib import suppress
from typing import Any, Final

#: How long a cancelled task gets to end before it is cancelled again.
PATIENCE_SECONDS: Final = 0.5


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended: calls of redis-py 8.1 swallow cancellations.

    It sends within `asyncio.wait_for`, which does so before Python 3.12.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    with suppress(asyncio.CancelledError):
        task.result()
