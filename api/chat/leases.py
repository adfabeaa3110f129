"""Holding a turn's lease while the assistant runs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from api.core.errors import Problem
from api.writes.accept import Accept, Turn

logger = logging.getLogger(__name__)

#: The lease lasts 10 s without it.
RENEW_SECONDS: Final = 3.0


@asynccontextmanager
async def leased(accept: Accept, turn: Turn) -> AsyncIterator[None]:
    """Keep the turn for the caller, and let go of it at once if it fails."""
    renewing = asyncio.create_task(_renew(accept, turn), name="renew-lease")
    try:
        yield
    except BaseException:
        with suppress(Problem):
            await accept.release(turn)
        raise
    finally:
        renewing.cancel()


async def _renew(accept: Accept, turn: Turn) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            await accept.renew(turn)
        except Problem as problem:
            logger.warning("a turn's lease was not renewed: %s", problem.detail)
