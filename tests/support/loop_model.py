"""A model of the API's event loop under load, for tests of admission.

One thread takes, turn after turn, what has arrived: requests, answers of the log, the samples of
admission. It has a clock of its own, so that a run is the same every time, on any machine.
"""

import math
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from api.writes.admission import LOOK_SECONDS, Admission

#: CPU time of a request: it is read, then refused, or handed to the log and answered.
READ_SECONDS: Final = 0.00003
REFUSE_SECONDS: Final = 0.00003
SUBMIT_SECONDS: Final = 0.00017
ANSWER_SECONDS: Final = 0.0001
#: CPU time of a turn of the loop without any.
TURN_SECONDS: Final = 0.00003
#: How long the log takes for a group, and for each entry of it.
GROUP_SECONDS: Final = 0.001
ENTRY_SECONDS: Final = 0.0001
GROUP_MOST: Final = 128
#: Messages a second that the loop can take, if it does nothing else.
CAPACITY: Final = 1 / (READ_SECONDS + SUBMIT_SECONDS + ANSWER_SECONDS)


def at_random(share: float, seconds: float) -> Iterator[float]:
    """Yield when requests arrive, independently of each other, at this share of the capacity."""
    rng, at = random.Random(1), 0.0
    while (at := at + rng.expovariate(share * CAPACITY)) < seconds:
        yield at


def in_bursts(share: float, seconds: float, size: int) -> Iterator[float]:
    """Yield when requests arrive, so many at once, at this share of the capacity."""
    pause = size / (share * CAPACITY)
    for number in range(int(seconds / pause)):
        yield from [number * pause] * size


@dataclass
class Loop:
    """One run. A pause is a span (from, to): the log answers nothing, or the process stands still,
    because others have the processor.
    """

    admission: Admission
    log_pauses: Sequence[tuple[float, float]] = ()
    pauses: Sequence[tuple[float, float]] = ()
    #: When those arrived that were admitted, and how long each waited for its answer.
    answered: list[tuple[float, float]] = field(default_factory=list)
    #: When those arrived that were refused.
    refused: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._now = self._cpu = 0.0
        self._coming: deque[float] = deque()
        self._queue: deque[float] = deque()
        self._group: list[float] = []
        self._group_due = math.inf
        self._looked_at = self._looked_cpu = 0.0
        #: The CPU time when the iteration began that is looked at.
        self._turn_began: float | None = None

    def run(self, arrivals: Iterable[float]) -> None:
        """Serve all requests."""
        self._coming.extend(arrivals)
        while self._coming or self._queue or self._group:
            self._now = max(self._now, self._next_event())
            self._turn()

    def p99_seconds(self, since: float) -> float:
        """Return in what time 99 of 100 were answered that were admitted from then on."""
        waited = sorted(seconds for arrived, seconds in self.answered if arrived >= since)
        return waited[math.ceil(len(waited) * 0.99) - 1]

    def share_answered(self) -> float:
        """Return how many were answered, as a part of the capacity."""
        return len(self.answered) / self._now / CAPACITY

    def _next_event(self) -> float:
        look_due = self._looked_at + LOOK_SECONDS if self._turn_began is None else self._now
        return min(self._coming[0] if self._coming else math.inf, self._group_due, look_due)

    def _turn(self) -> None:
        began = self._now
        answered = self._answered_group()
        self._work(TURN_SECONDS)
        came = []
        while self._coming and self._coming[0] <= began:
            came.append(self._coming.popleft())
            self._work(READ_SECONDS)
        self._look()
        for arrived in came:
            self._admit(arrived)
        for arrived in answered:
            self._work(ANSWER_SECONDS)
            self.answered.append((arrived, self._now - arrived))
        if self._queue and not self._group:
            self._send_group()

    def _admit(self, arrived: float) -> None:
        if self.admission.refuses(len(self._queue) + len(self._group)):
            self._work(REFUSE_SECONDS)
            self.refused.append(arrived)
        else:
            self._work(SUBMIT_SECONDS)
            self._queue.append(arrived)

    def _send_group(self) -> None:
        self._group = [self._queue.popleft() for _ in range(min(GROUP_MOST, len(self._queue)))]
        due = self._now + GROUP_SECONDS + ENTRY_SECONDS * len(self._group)
        self._group_due = _after(self.log_pauses, due)

    def _answered_group(self) -> list[float]:
        if self._now < self._group_due:
            return []
        answered, self._group, self._group_due = self._group, [], math.inf
        self.admission.answered(len(answered))
        return answered

    def _look(self) -> None:
        """Do what `Admission` does beside the requests: sleep, then time one iteration."""
        if self._turn_began is not None:
            turn, cpu = self._cpu - self._turn_began, self._cpu - self._looked_cpu
            self.admission.note(turn, cpu, self._now - self._looked_at)
            self._turn_began, self._looked_cpu, self._looked_at = None, self._cpu, self._now
        elif self._now >= self._looked_at + LOOK_SECONDS:
            self._turn_began = self._cpu

    def _work(self, seconds: float) -> None:
        self._cpu += seconds
        self._now = _after(self.pauses, self._now + seconds)


def _after(pauses: Sequence[tuple[float, float]], moment: float) -> float:
    """Return a moment, or the end of the pause that it falls into."""
    return next((end for begin, end in pauses if begin <= moment < end), moment)
