"""Wall clocks that jump by half an hour, there and back.

From behind to ahead is less than an hour, retries included: more would expire every idempotency
key, whose window is an hour of Redis time.
"""

import asyncio
from typing import ClassVar, Final

from tests.chaos.faults.base import Fault
from tests.chaos.shim import Shim

BEHIND_SECONDS: Final = 1_800
AHEAD_SECONDS: Final = 1_700
_PAUSE_SECONDS: Final = 1.0


class _ClockFault(Fault):
    target: ClassVar[str] = "clock"
    seconds = 5.0
    brief_seconds = 2.0

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._jump: asyncio.TimerHandle | None = None

    @property
    def shim(self) -> Shim:
        raise NotImplementedError

    async def inject(self) -> None:
        """Behind first, then ahead: what is remembered for seconds then lasts until long after."""
        self.shim.shift_clock(-BEHIND_SECONDS)
        self._jump = asyncio.get_running_loop().call_later(
            _PAUSE_SECONDS, self.shim.shift_clock, AHEAD_SECONDS
        )

    async def heal(self) -> None:
        if self._jump is not None:
            self._jump.cancel()
        self.shim.shift_clock(0)


class RedisClock(_ClockFault):
    """The log's clock: ids, time-outs, the bell."""

    name = "clock: Redis"

    @property
    def shim(self) -> Shim:
        return self.site.redis_shim


class WorkerClock(_ClockFault):
    """The workers' clocks."""

    name = "clock: workers"

    @property
    def shim(self) -> Shim:
        return self.site.worker_shim


class ApiClock(_ClockFault):
    """The APIs' clocks."""

    name = "clock: APIs"

    @property
    def shim(self) -> Shim:
        return self.site.api_shim


FAULTS: Final = (RedisClock, WorkerClock, ApiClock)
