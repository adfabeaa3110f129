"""Requests at a constant rate, from a process of its own: `python -m tests.bench.asking`.

Its input is its order (`Order`, JSON); it says what came of it (`Outcome`, JSON). It costs some
30 µs a request: k6 took a fifth of a core for 300 messages a second, and waited for a core half of
its time, which is what its times told first where two cores were busy.
"""

import gc
import json
import random
import socket
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import count
from statistics import quantiles

from tests.support.load_generator import LoadGenerator, connect


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked: one of these requests each time, as HTTP."""

    port: int
    requests: list[str]
    connections: int
    per_second: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: how many of each status, and the times from when a request was due."""

    statuses: dict[str, int]
    p99_ms: float


def main() -> None:
    """Follow the order."""
    order = Order(**json.load(sys.stdin))
    requests = [request.encode() for request in order.requests]
    numbers = count()

    def arrive() -> socket.socket:
        # Each from an address of its own: 127.0.0.0/8 is loopback, all of it.
        number = next(numbers)
        return connect(order.port, f"127.2.{number // 250}.{1 + number % 250}")

    gc.disable()
    generator = LoadGenerator(arrive, lambda _: random.choice(requests), order.connections)
    generator.run(order.seconds, order.per_second)
    generator.finish()
    statuses = Counter(str(one.status) for one in generator.sendings)
    p99_ms = quantiles((one.latency_seconds * 1000 for one in generator.sendings), n=100)[98]
    sys.stdout.write(json.dumps(asdict(Outcome(dict(statuses), p99_ms))))


if __name__ == "__main__":
    main()
