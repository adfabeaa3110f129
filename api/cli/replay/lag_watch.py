"""The lag that a server's histogram saw between two moments."""

import asyncio
import time
from typing import Final

from api.cli import lag
from api.cli.lag import Lag, NoHistogramError
from api.cli.replay.client import ReplayClient, ReplayError

#: How long the histogram may take to show what can be read already: drains count after a commit.
PATIENCE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1


class LagWatch:
    """Reads a server's `/metrics` before and after something."""

    def __init__(self, client: ReplayClient, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._client = client
        self._patience_seconds = patience_seconds
        self._before: Lag | NoHistogramError = NoHistogramError("it was never read")

    async def begin(self) -> None:
        """Take what was observed so far as the beginning; a failure is told at the end."""
        try:
            self._before = await self._read()
        except NoHistogramError as error:
            self._before = error

    async def since(self, entries: int) -> Lag:
        """Return what was observed since the beginning, once it is so many entries.

        Later than its patience, it returns what there is. Raises NoHistogramError where the
        server shows nothing usable.
        """
        if not isinstance(self._before, Lag):
            raise self._before
        deadline = time.monotonic() + self._patience_seconds
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
