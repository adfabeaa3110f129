"""How late a process of the tester's is itself: what it measures then is its own delay."""

import asyncio
import time
from typing import Final

_TICK_SECONDS: Final = 0.01


class Lateness:
    """Measures, from its making on, how much later than due the event loop does things."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Measure no more."""
        self._task.cancel()

    def quantile_ms(self, part: float) -> float:
        """Return a quantile in ms."""
        return quantile_ms(sorted(self._late), part)

    async def _run(self) -> None:
        while True:
            due = time.monotonic() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self._late.append(time.monotonic() - due)


def quantile_ms(ascending: list[float], part: float) -> float:
    """Return a quantile of seconds in ms; 0 of none."""
    return round(ascending[int(part * (len(ascending) - 1))] * 1000, 1) if ascending else 0.0
