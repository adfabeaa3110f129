"""Open-loop rate: messages are due by the clock, however long their answers take."""

import asyncio
import time


class Pace:
    """Hands out one slot after the other: the n-th is due n / rate seconds after the first.

    A late caller gets an overdue slot at once, so that the average rate is kept. Without a rate
    every slot is due now.
    """

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._first_at: float | None = None
        self._given = 0

    def wait_seconds(self, now: float) -> float:
        """Take the next slot; return the seconds until it is due, 0 if it is overdue."""
        if self._per_second is None:
            return 0.0
        if self._first_at is None:
            self._first_at = now
        due = self._first_at + self._given / self._per_second
        self._given += 1
        return max(due - now, 0.0)

    async def slot(self) -> None:
        """Take the next slot and wait until it is due."""
        wait = self.wait_seconds(time.monotonic())
        if wait > 0:
            await asyncio.sleep(wait)
