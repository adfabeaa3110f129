"""A flood: three times as many messages as the system can take, a process of its own.

`python -m tests.chaos.flood`: the first line of its input is its order (`Order`, JSON); it says
`{"capacity": …}` when the flood begins, and ends with what came of it, some time after its input
says or does anything more. Its history is written when all is over.
"""

import asyncio
import gc
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from tests.chaos.client import Client, Person, Talk, Write
from tests.chaos.history import Answered, History, Invoked
from tests.chaos.lateness import quantile_ms
from tests.chaos.people import join
from tests.chaos.tables import digest
from tests.chaos.wire import NoAnswerError, Response, Wire
from tests.support.load_generator import LoadGenerator, Sending, connect

#: People, and the conversations of each: all partitions have some.
_PEOPLE: Final = 4
_TALKS: Final = 16
#: So many clients, each of which asks again once it was answered, show what the system can take.
_CLIENTS: Final = 64
_CONNECTIONS: Final = 1_000
_FILLER: Final = "The quick brown fox jumps over the lazy dog. " * 5
_MEASURE_SECONDS: Final = 3.0
_FACTOR: Final = 3.0
#: If nobody says it is enough.
_SECONDS_MOST: Final = 120.0


@dataclass(frozen=True, slots=True)
class Order:
    """What a flood is to do."""

    ports: list[int]
    history: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Messages:
    """What a flood says: messages in conversations in turn."""

    prefix: str
    talks: Sequence[tuple[Person, Talk]]

    def write(self, number: int) -> Write:
        """Return the message of a number."""
        person, talk = self.talks[number % len(self.talks)]
        op = f"{self.prefix}-{number}"
        path = f"/api/conversations/{talk.id}/messages"
        text = f"#{op}# {_FILLER}"
        return Write(op, "message", person, "POST", path, None, talk, "user", text)

    def request(self, number: int) -> bytes:
        """Return it as HTTP."""
        write = self.write(number)
        body = f'{{"role":"user","content":"{write.text}"}}'
        return (
            f"POST {write.path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {write.person.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def main() -> None:
    """Follow the order."""
    order = Order(**json.loads(sys.stdin.readline()))
    # It keeps everything: to look for what could be thrown away would only make it late.
    gc.disable()
    with History(Path(order.history)) as history:
        rng = random.Random(order.prefix)
        client = Client(Wire(order.ports, rng), history, rng, order.prefix)
        talks = asyncio.run(_arrive(client, order.prefix))
        ports = cycle(order.ports)
        messages = Messages(f"{order.prefix}t", talks)
        generator = LoadGenerator(
            lambda: connect(next(ports)), messages.request, _CONNECTIONS, sys.stdin.fileno()
        )
        generator.run(_MEASURE_SECONDS, most=_CLIENTS)
        capacity = (
            sum(one.status == HTTPStatus.ACCEPTED for one in generator.sendings) / _MEASURE_SECONDS
        )
        _say({"capacity": capacity})
        generator.finish()
        calm = len(generator.sendings)
        generator.run(_SECONDS_MOST, max(capacity, 1.0) * _FACTOR)
        generator.finish()
        outcomes = [
            _write_down(client, messages.write(one.number), one) for one in generator.sendings
        ]
        told = _told(generator.sendings[calm:], outcomes[calm:])
        _say({"capacity": round(capacity), **told})


async def _arrive(client: Client, prefix: str) -> list[tuple[Person, Talk]]:
    """Make people and their conversations."""
    people = await asyncio.gather(*(join(client.wire, f"{prefix}.{n}") for n in range(_PEOPLE)))
    return [(one, await _open(client, one)) for _ in range(_TALKS) for one in people]


async def _open(client: Client, person: Person) -> Talk:
    """Open a conversation, however often it takes."""
    while True:
        op = client.name()
        opening = Write(op, "open", person, "POST", "/api/conversations", {}, key=op)
        answered = await client.write(opening)
        if answered.outcome == "ok":
            return Talk(answered.conversation, answered.entry)


def _write_down(client: Client, write: Write, one: Sending) -> Answered:
    """Write down one message and what it was told; return that."""
    user, text = write.person.user, digest(write.text)
    client.history.add(
        Invoked(one.sent, write.op, "message", user, write.conversation, "user", text)
    )
    response = Response(one.status, one.headers, one.body) if one.answered else NoAnswerError()
    answered = replace(client.judge(write, response), at=one.answered or time.monotonic())
    client.history.add(answered)
    return answered


def _told(sendings: list[Sending], outcomes: list[Answered]) -> dict[str, Any]:
    """Return what came of a flood; times in ms, of what was admitted from when it was due."""
    pairs = list(zip(sendings, outcomes, strict=True))
    admitted = sorted(one.latency_seconds for one, told in pairs if told.outcome == "ok")
    late = sorted(one.sent - one.due for one in sendings)
    seconds = sendings[-1].due - sendings[0].due if sendings else 0.0
    return {
        "seconds": round(seconds, 1),
        "sent": len(sendings),
        **Counter(told.outcome for told in outcomes),
        "admitted_p50_ms": quantile_ms(admitted, 0.50),
        "admitted_p99_ms": quantile_ms(admitted, 0.99),
        "client_late_p99_ms": quantile_ms(late, 0.99),
    }


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
