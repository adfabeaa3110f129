"""Requests at a constant rate, from a process of its own: `python -m tests.bench.asking`.

Its input is its order (`Order`, JSON); it says what came of it (`Outcome`, JSON). It costs some
30 µs a request: k6 took a fifth of a core for 300 messages a second, and waited for a core half of
its time, which is what its times told first where two cores were busy.
"""

import gc
import json
import random
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from statistics import quantiles

from tests.bench.load import LoadError
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


def post(path: str, body: str, headers: str = "") -> str:
    """Return a request to post JSON; each line of `headers` ends with CR and LF."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


@contextmanager
def asking(order: Order) -> Iterator[subprocess.Popen[str]]:
    """Have an order followed while the body runs; `outcome_of` waits for what comes of it."""
    with subprocess.Popen(
        # It stands for other people's machines: in a session of its own, which Linux shares its
        # time with as a whole.
        [sys.executable, "-m", "tests.bench.asking"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(json.dumps(asdict(order)))
        try:
            yield process
        finally:
            process.kill()


def outcome_of(process: subprocess.Popen[str]) -> Outcome:
    """Wait until an order was followed. Raises LoadError where its process failed."""
    assert process.stdout is not None
    told = process.stdout.read()
    if process.wait() != 0:
        raise LoadError("a client failed")
    return Outcome(**json.loads(told))


def p99_ms(order: Order, status: str) -> float:
    """Have an order followed, and return the p99 of its answers.

    Raises LoadError where one has another status.
    """
    with asking(order) as process:
        outcome = outcome_of(process)
    if set(outcome.statuses) != {status}:
        raise LoadError(f"answered {outcome.statuses}, not {status}")
    return outcome.p99_ms


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
