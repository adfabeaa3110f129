"""Holding a turn's lease while the assistant runs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from api.chat.running_turns import RunningTurns
from api.core import tasks
from api.core.errors import Problem
from api.core.turns import TurnName
from api.writes.turns import Turn

logger = logging.getLogger(__name__)

#: The lease lasts 10 s without it.
RENEW_SECONDS: Final = 3.0


@asynccontextmanager
async def leased(turns: RunningTurns, turn: Turn) -> AsyncIterator[None]:
    """Keep the turn for the caller, and let go of it at once if it fails."""
    renewing = asyncio.create_task(_renew(turns, turn.name, turn.lease or ""), name="renew-lease")
    try:
        yield
    except BaseException:
        with suppress(Problem):
            await turns.release(turn.name, turn.lease or "")
        raise
    finally:
        await tasks.end(renewing)


async def _renew(turns: RunningTurns, name: TurnName, token: str) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            await turns.renew(name, token)
        except Problem as problem:
            logger.warning("a turn's lease was not renewed: %s", problem.detail)
