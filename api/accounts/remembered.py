"""What PostgreSQL told of late, so that requests need not ask it each time, nor find it there."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from api.core.errors import Problem, Unavailable

V = TypeVar("V")

#: After this time PostgreSQL is asked again, by one request, while the others go on.
FRESH_SECONDS: Final = 15 * 60
#: How long one that is remembered waits for the answer, and when it asks again without one.
ASK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 30
#: How long an answer is good while PostgreSQL gives no other. Revocations are known for longer.
KEPT_SECONDS: Final = 23 * 3600


@dataclass(slots=True)
class _Answer(Generic[V]):
    value: V
    ask_at: float
    ends_at: float


class Remembered(Generic[V]):
    """Answers by name, at most `most`: the one that was given first makes room for the next.

    `now` returns the time in Unix seconds.
    """

    def __init__(self, most: int, now: Callable[[], float] = time.time) -> None:
        self._most = most
        self._now = now
        self._answers: dict[str, _Answer[V]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    async def get(self, name: str, ask: Callable[[], Awaitable[V]]) -> V:
        """Return the answer for a name; `ask` PostgreSQL where it is not known, or old.

        Raises what `ask` raises: Unavailable only where nothing is remembered.
        """
        known, now = self._answers.get(name), self._now()
        if known is None or known.ends_at <= now:
            return self._keep(name, await ask())
        if now < known.ask_at:
            return known.value
        known.ask_at = now + RETRY_SECONDS
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return self._keep(name, await ask())
        except (Unavailable, TimeoutError):
            return known.value
        except Problem:
            self.forget(name)
            raise

    def forget(self, name: str) -> None:
        """Ask for this name the next time."""
        self._answers.pop(name, None)

    def _keep(self, name: str, value: V) -> V:
        self.forget(name)
        if len(self._answers) >= self._most:
            del self._answers[next(iter(self._answers))]
        now = self._now()
        self._answers[name] = _Answer(value, now + FRESH_SECONDS, now + KEPT_SECONDS)
        return value
