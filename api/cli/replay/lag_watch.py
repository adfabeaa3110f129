"""The lag that a server's histogram observed between two points in time."""

import asyncio
import time
from typing import Final

from api.cli import lag
from api.cli.lag import Lag, NoHistogramError
from api.cli.replay.client import ReplayClient, ReplayError

#: How long to wait for the histogram: a message can be read before the drain has counted it.
TIMEOUT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1


class LagWatch:
    """Reads a server's `/metrics` before and after a part of the replay."""

    def __init__(self, client: ReplayClient) -> None:
        self._client = client
        self._before: Lag | NoHistogramError = NoHistogramError("it was never read")

    async def begin(self) -> None:
        """Read the histogram as the starting point; a failure is raised by `since`."""
        try:
            self._before = await self._read()
        except NoHistogramError as error:
            self._before = error

    async def since(self, entries: int) -> Lag:
        """Return the lags observed since `begin`, once `entries` entries were observed.

        After TIMEOUT_SECONDS it returns those observed so far. Raises NoHistogramError if one of
        the two readings failed.
        """
        if not isinstance(self._before, Lag):
            raise self._before
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            found = (await self._read()).since(self._before)
            if found.entries >= entries or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_POLL_SECONDS)

    async def _read(self) -> Lag:
        try:
            return lag.parse(await self._client.metrics())
        except ReplayError as error:
            raise NoHistogramError(str(error)) from error
