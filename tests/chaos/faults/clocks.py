"""Wall clocks that jump by twenty minutes, there and back.

From behind to ahead is less than an hour: more would expire every idempotency key, whose window is
an hour of Redis time.
"""

import asyncio
from typing import ClassVar, Final

from tests.chaos.faults.base import Fault
from tests.chaos.shim import Shim

JUMP_SECONDS: Final = 1_200
_BEHIND_SECONDS: Final = 1.0


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
        self.shim.shift_clock(-JUMP_SECONDS)
        self._jump = asyncio.get_running_loop().call_later(
            _BEHIND_SECONDS, self.shim.shift_clock, JUMP_SECONDS
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
