"""Admission: how many writes may be inside at once while this process has more to do than it can.

It is overloaded when more writes are inside than a fair number of clients could have sent, each of
which waits for its answer, and the processor is the bottleneck. That it is, is told by the
processor time of one turn of the event loop: a log that is far away or slow costs none, and there
more writes at once only fill its groups. From then on, until turns are short again, what is
admitted waits, by Little's law, for the writes inside divided by the writes answered a second. So
no more are let in than are answered in `WAIT_SECONDS`; the rest is refused before any work is done
on it. That is the least part of its way: a write takes several turns besides, each as long as all
that are refused in it.
"""

import asyncio
import time
from typing import Final

#: So many inside limit nobody; while turns are full, one more does.
CROWD: Final = 100
#: For what is admitted, between its arrival at the log's waiting room and the log's answer.
WAIT_SECONDS: Final = 0.01
#: Never fewer.
INSIDE_LEAST: Final = 3
#: A turn of the loop that costs more processor time is full of work. Measured: with three times
#: what two cores can take, 99 of 100 admitted writes are answered in 70 ms, and more than half as
#: many are admitted as without the rest; with four times this, in 300 ms, and 80 of 100.
FULL_TURN_SECONDS: Final = 0.0012
#: One that costs less has room. Between the two the limit stays: it would only swing.
SHORT_TURN_SECONDS: Final = FULL_TURN_SECONDS / 2
LOOK_SECONDS: Final = 0.05
#: How much one look counts in the averages.
_WEIGHT: Final = 0.4
#: Once there is room again, the limit grows by this, or by one, at each look.
_GROWTH: Final = 1.05


class Admission:
    """Looks at the event loop, and at how many writes are inside and are answered."""

    def __init__(self, unlimited: int) -> None:
        self._unlimited = unlimited
        self._turn_seconds = 0.0
        self._per_second = 0.0
        self._answered = 0
        self._inside = 0
        self._task: asyncio.Task[None] | None = None
        #: Most writes inside.
        self.most = unlimited

    def start(self) -> None:
        """Look from now on."""
        self._task = asyncio.create_task(self._look(), name="admission")

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def refuses(self, inside: int) -> bool:
        """Tell whether one more is too many, beside so many."""
        self._inside = max(self._inside, inside)
        return inside >= self.most

    def answered(self, writes: int) -> None:
        """Note that so many writes have left."""
        self._answered += writes

    def note(self, turn_seconds: float, elapsed_seconds: float) -> None:
        """Take the processor time of one turn, and how long ago the last look was."""
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
