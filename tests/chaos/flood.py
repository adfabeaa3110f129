"""A flood: messages at a fixed rate, whether or not the earlier ones were answered (open loop)."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from tests.chaos import texts
from tests.chaos.client import Client, Person, Write
from tests.chaos.lateness import Lateness, quantile_ms

_TICK_SECONDS: Final = 0.005
#: No more at once: the tester has only so many sockets.
_OPEN_MOST: Final = 4_000


class Flood:
    """Messages without keys, each sent once, in anybody's newest conversation."""

    def __init__(self, client: Client, people: Sequence[Person], per_second: float) -> None:
        self._client = client
        self._people = people
        self._per_second = per_second
        self._began = time.monotonic()
        self._sent = 0
        self._latencies: list[float] = []
        self._refused = 0
        self._open: set[asyncio.Task[None]] = set()
        self._lateness = Lateness()
        self._task = asyncio.create_task(self._run())

    def told(self) -> dict[str, Any]:
        """Return what came of it so far; `over` once every request was answered."""
        latencies = sorted(self._latencies)
        return {
            "sent": self._sent,
            "admitted": len(latencies),
            "refused": self._refused,
            "seconds": round(time.monotonic() - self._began, 1),
            "admitted_p50_ms": quantile_ms(latencies, 0.50),
            "admitted_p99_ms": quantile_ms(latencies, 0.99),
            "client_late_p99_ms": self._lateness.quantile_ms(0.99),
            "over": self._task.done() and not self._open,
        }

    def ebb(self) -> None:
        """Send no more."""
        self._task.cancel()
        self._lateness.stop()

    async def _run(self) -> None:
        while True:
            due = int((time.monotonic() - self._began) * self._per_second)
            for _ in range(min(due - self._sent, _OPEN_MOST - len(self._open))):
                task = asyncio.create_task(self._send())
                self._open.add(task)
                task.add_done_callback(self._open.discard)
                self._sent += 1
            await asyncio.sleep(_TICK_SECONDS)

    async def _send(self) -> None:
        client = self._client
        person = client.rng.choice(self._people)
        if not person.talks:
            return
        talk, op = person.talks[0], client.name()
        text = texts.text(client.rng, op)
        path = f"/api/conversations/{talk.id}/messages"
        body = {"role": "user", "content": text}
        write = Write(op, "message", person, "POST", path, body, talk, "user", text)
        began = time.monotonic()
        answered = await client.attempt(write)
        if answered.outcome == "ok":
            self._latencies.append(answered.at - began)
        elif answered.outcome == "refused":
            self._refused += 1
