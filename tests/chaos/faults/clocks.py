"""Wall clocks that jump by half an hour, there and back.

A whole hour would expire every idempotency key: their window is an hour of Redis time.
"""

import asyncio
from typing import ClassVar, Final

from tests.chaos.faults.base import Fault
from tests.chaos.shim import Shim

JUMP_SECONDS: Final = 1_800


class _ClockFault(Fault):
    target: ClassVar[str] = "clock"
    seconds = 4.0

    @property
    def shim(self) -> Shim:
        raise NotImplementedError

    async def inject(self) -> None:
        """Ahead first, then behind: what was due in the one time is not due in the other."""
        self.shim.shift_clock(JUMP_SECONDS)
        await asyncio.sleep(self.brief_seconds)
        self.shim.shift_clock(-JUMP_SECONDS)

    async def heal(self) -> None:
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
