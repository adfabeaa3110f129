"""What a storm of sign-ins does to chat: ten times as many as the server can take."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.bench import people
from tests.bench.accept import RATE
from tests.bench.asking import Order, asking, outcome_of, p99_ms, post
from tests.bench.field import field
from tests.bench.figures import Report, say
from tests.bench.load import BODY, LoadError, message_path
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site

TIMES_CAPACITY: Final = 10
#: What a message is answered.
ACCEPTED: Final = "202"
#: The storm begins this long before the measurement, and ends as long after it.
_MARGIN_SECONDS: Final = 2
_CHATTERS: Final = 64
_STORMERS: Final = 500


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure chat at a constant rate, in calm and in a storm of sign-ins with right passwords."""
    names = people.arrive(at)
    with field(at, ["verbatim"]) as contest:
        server = contest.servers["verbatim"]
        contest.latency("verbatim", RATE, scale.warm_up_seconds)
        able = people.capacity(server, names, scale.seconds + 2)
        say(f"storm: {able:.0f} sign-ins a second are its capacity")
        seconds = scale.rate_seconds
        chats = Order(server.port, _messages(at), _CHATTERS, RATE, seconds)
        sign_ins = Order(
            server.port, _sign_ins(names), _STORMERS, able * TIMES_CAPACITY,
            seconds + 2 * _MARGIN_SECONDS,
        )  # fmt: skip

        def p99(weather: str) -> float:
            if weather == "calm":
                seen = p99_ms(chats, ACCEPTED)
            else:
                with _storm(sign_ins):
                    seen = p99_ms(chats, ACCEPTED)
            contest.settle("verbatim")
            return seen

        seen = interleaved(["calm", "storm"], scale.rounds, p99)
        report.add("signins_per_second", "sign-ins/s", [able])
        report.add(f"accept_p99_{RATE}_storm_vs_calm", "ms", seen["storm"], seen["calm"])


def _messages(at: Site) -> list[str]:
    return [
        post(message_path(seat), BODY, f"Authorization: Bearer {seat.token}\r\n")
        for seat in at.seats
    ]


def _sign_ins(names: list[str]) -> list[str]:
    bodies = [json.dumps({"username": name, "password": people.PASSWORD}) for name in names]
    return [post("/auth/login", body) for body in bodies]


@contextmanager
def _storm(order: Order) -> Iterator[None]:
    """Sign in, from many addresses, for as long as the body takes."""
    with asking(order) as process:
        time.sleep(_MARGIN_SECONDS)
        yield
        outcome = outcome_of(process)
    if not set(outcome.statuses) <= {str(status) for status in people.ANSWERS}:
        raise LoadError(f"sign-ins were answered {outcome.statuses}")
    sent = sum(outcome.statuses.values()) / order.seconds
    say(f"storm: {sent:.0f} of {order.per_second:.0f} sign-ins a second: {outcome.statuses}")
