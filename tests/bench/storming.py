"""A storm of sign-ins, a process of its own: `python -m tests.bench.storming`.

Its input is its order (`Order`, JSON); it says, in JSON, how many it sent, and how many of them got
no answer that a sign-in may get.
"""

import json
import random
import socket
import sys
from dataclasses import dataclass
from itertools import count

from tests.bench.people import ANSWERS, PASSWORD
from tests.torrent import Torrent, connect

#: Each from an address of its own: 127.0.0.0/8 is loopback, all of it.
_CONNECTIONS = 500


@dataclass(frozen=True, slots=True)
class Order:
    """What a storm is to do."""

    port: int
    names: list[str]
    per_second: float
    seconds: float


def main() -> None:
    """Follow the order."""
    order = Order(**json.load(sys.stdin))
    numbers = count()

    def attempt(_number: int) -> bytes:
        body = json.dumps({"username": random.choice(order.names), "password": PASSWORD})
        return (
            "POST /auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def arrive() -> socket.socket:
        number = next(numbers)
        return connect(order.port, f"127.2.{number // 250}.{1 + number % 250}")

    torrent = Torrent(arrive, attempt, _CONNECTIONS)
    torrent.run(order.seconds, order.per_second)
    torrent.finish()
    failed = sum(one.status not in ANSWERS for one in torrent.sendings)
    sys.stdout.write(json.dumps({"sent": len(torrent.sendings), "failed": failed}))


if __name__ == "__main__":
    main()
