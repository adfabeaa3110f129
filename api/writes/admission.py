"""Admission control: how many writes may be in flight while the process is overloaded.

A process is overloaded when it does not catch up: over BUSY_SECONDS of CPU time no iteration of its
event loop was short, and yet so many writes are in flight that the last one waits longer than
ANSWER_SECONDS, and they do not get fewer. Long iterations alone are no overload: requests come in
bursts, the log's answers in groups, and other processes take the processor. A loop that catches up
has short iterations in between, or fewer writes in flight from one to the next. Iterations are
measured in CPU time: a log that is slow or far away costs none, and there more writes at once only
fill its groups.

While a process is overloaded, writes in flight are limited to throughput times WAIT_SECONDS, so
that by Little's law an admitted write waits no longer than that for the log; the rest is refused
before any work is done on it. The whole answer takes longer: a write passes through several
iterations, each as long as all its refusals. Each short iteration raises the limit, until there is
none.
"""

import asyncio
import time
from typing import Final

#: Fewer writes in flight than this are no overload; a limit that reaches it is lifted.
CROWD: Final = 100
#: What 99 of 100 admitted writes are answered in, whatever the load.
ANSWER_SECONDS: Final = 0.1
#: Under overload, an admitted write's time in the group commit: from its queue to the log's answer.
WAIT_SECONDS: Final = 0.025
#: The limit is never lower: a loop that is full of refusals, before a slow log, would starve.
INSIDE_LEAST: Final = 24
#: An iteration of the event loop that costs less CPU time is short: at most two messages' work.
SHORT_TURN_SECONDS: Final = 0.0006
#: A loop that spent so much CPU time without a short iteration is busy.
BUSY_SECONDS: Final = 0.1
#: A crowd gets smaller once it is smaller than this part of what it was.
SMALLER: Final = 0.9
#: Between two samples, while there are writes or a limit.
LOOK_SECONDS: Final = 0.01
#: The throughput is an average over about so long.
_AVERAGE_SECONDS: Final = 1.0
#: A short iteration raises the limit by this factor and one.
_GROWTH: Final = 1.1


class Admission:
    """Samples the event loop's CPU time and the writes in flight, and sets the limit."""

    def __init__(self, unlimited: int) -> None:
        self._unlimited = unlimited
        self._per_second = 0.0
        #: Since the last sample.
        self._answered = self._inside = 0
        #: Since the last short iteration.
        self._busy_seconds, self._inside_most = 0.0, 0
        self._asked = asyncio.Event()
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
        self._asked.set()
        self._inside = max(self._inside, inside)
        return inside >= self.most

    def answered(self, writes: int) -> None:
        """Count writes that were answered."""
        self._answered += writes

    def note(self, turn_seconds: float, cpu_seconds: float, elapsed_seconds: float) -> None:
        """Take a sample: one iteration's CPU time; all CPU time, and time, since the last sample.

        A process that was kept from its processor spent no CPU time, so it was not busy.
        """
        weight = elapsed_seconds / (elapsed_seconds + _AVERAGE_SECONDS)
        self._per_second += weight * (self._answered / elapsed_seconds - self._per_second)
        if turn_seconds < SHORT_TURN_SECONDS:
            self._busy_seconds, self._inside_most = 0.0, 0
            grown = round(self.most * _GROWTH) + 1
            self.most = grown if grown < CROWD else self._unlimited
        else:
            self._busy_seconds += cpu_seconds
            self._inside_most = max(self._inside_most, self._inside)
            if self._busy_seconds >= BUSY_SECONDS and (self._is_limited() or self._is_crowded()):
                self.most = max(INSIDE_LEAST, round(self._per_second * WAIT_SECONDS))
        self._answered = self._inside = 0

    def _is_limited(self) -> bool:
        return self.most < self._unlimited

    def _is_crowded(self) -> bool:
        """Return whether the last write waits too long, and the next one will."""
        in_time = max(CROWD, self._per_second * ANSWER_SECONDS)
        return self._inside >= max(in_time, self._inside_most * SMALLER)

    async def _look(self) -> None:
        cpu, looked_at = time.thread_time(), time.monotonic()
        while True:
            if not self._is_limited():
                await self._asked.wait()
            self._asked.clear()
            await asyncio.sleep(LOOK_SECONDS)
            began = time.thread_time()
            await asyncio.sleep(0)
            ended, now = time.thread_time(), time.monotonic()
            self.note(ended - began, ended - cpu, now - looked_at)
            cpu, looked_at = ended, now
