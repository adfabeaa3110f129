"""Admission control: how many writes may be in flight while the process is overloaded.

The process counts as overloaded when more than CROWD writes are in flight and one iteration of the
event loop costs more than FULL_TURN_SECONDS of CPU time. (A log that is slow or far away costs no
CPU, and there more writes at once only fill its groups.) Until iterations are short again, writes
in flight are limited to throughput times WAIT_SECONDS, so that by Little's law an admitted write
waits no longer than that for the log; the rest is refused before any work is done on it. The whole
answer takes longer: a write passes through several iterations, each as long as all its refusals.
"""

import asyncio
import time
from typing import Final

#: Writes in flight that are always admitted; one more, while iterations are full, sets the limit.
CROWD: Final = 100
#: An admitted write's time in the group commit: from its queue to the log's answer.
WAIT_SECONDS: Final = 0.01
#: The limit is never lower.
INSIDE_LEAST: Final = 3
#: An iteration of the event loop that costs more CPU time is full. Measured with three times the
#: load that two cores can take: 99 of 100 admitted writes are answered in 70 ms, and more than half
#: as many are admitted as without overload. With four times this value: in 300 ms, and 80 of 100.
FULL_TURN_SECONDS: Final = 0.0012
#: One that costs less has room. Between the two the limit stays as it is, or it would oscillate.
SHORT_TURN_SECONDS: Final = FULL_TURN_SECONDS / 2
LOOK_SECONDS: Final = 0.05
#: Weight of one sample in the moving averages.
_WEIGHT: Final = 0.4
#: Once there is room again, the limit grows by this factor, or by one, at each sample.
_GROWTH: Final = 1.05


class Admission:
    """Samples the event loop's CPU time and the writes in flight, and sets the limit."""

    def __init__(self, unlimited: int) -> None:
        self._unlimited = unlimited
        self._turn_seconds = 0.0
        self._per_second = 0.0
        self._answered = 0
        self._inside = 0
        self._task: asyncio.Task[None] | None = None
        #: The limit of writes in flight.
        self.most = unlimited

    def start(self) -> None:
        """Start sampling."""
        self._task = asyncio.create_task(self._look(), name="admission")

    def stop(self) -> None:
        """Stop sampling."""
        if self._task is not None:
            self._task.cancel()

    def refuses(self, inside: int) -> bool:
        """Return whether another write must be refused while `inside` are in flight."""
        self._inside = max(self._inside, inside)
        return inside >= self.most

    def answered(self, writes: int) -> None:
        """Count writes that were answered."""
        self._answered += writes

    def note(self, turn_seconds: float, elapsed_seconds: float) -> None:
        """Take a sample: one iteration's CPU time, and the time since the last sample."""
        self._turn_seconds += _WEIGHT * (turn_seconds - self._turn_seconds)
        self._per_second += _WEIGHT * (self._answered / elapsed_seconds - self._per_second)
        if self._turn_seconds > FULL_TURN_SECONDS:
            is_crowded = self.most < CROWD or self._inside >= CROWD
            in_time = max(INSIDE_LEAST, round(self._per_second * WAIT_SECONDS))
            self.most = in_time if is_crowded else CROWD
        elif self._turn_seconds < SHORT_TURN_SECONDS:
            grown = max(self.most + 1, round(self.most * _GROWTH))
            self.most = grown if grown < CROWD else self._unlimited
        self._answered = self._inside = 0

    async def _look(self) -> None:
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            began = time.thread_time()
            await asyncio.sleep(0)
            turn_seconds, now = time.thread_time() - began, time.monotonic()
            self.note(turn_seconds, now - looked_at)
            looked_at = now
