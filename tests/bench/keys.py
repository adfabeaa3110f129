"""What idempotency keys take of Redis, and how fast keyed messages are accepted."""

import itertools
import secrets
import time
from dataclasses import replace
from typing import Final

from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from tests.bench.drain import used_bytes
from tests.bench.field import field
from tests.bench.figures import Report, say
from tests.bench.load import closed_loop, message_path
from tests.bench.scale import Scale
from tests.bench.site import Site, another

#: Messages of one call, and of one conversation.
_GROUP: Final = 125
#: A partition's share of an hour at that rate.
RATE: Final = 5_000
_HOUR: Final = 3_600
_FAR: Final = 10**13
#: After so many windows as many keys go as come.
_WINDOWS: Final = 3
_CONNECTIONS: Final = 16
_LIMITS: Final = Limits(
    log_max_entries=10**9,
    log_max_bytes=10**12,
    log_max_age_seconds=10**9,
    idempotency_seconds=_HOUR,
)


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Weigh the keys of a part of an hour, then those of windows that came and went."""
    per_second = _fill(at, scale, report)
    _come_and_go(at, scale, report, max(int(scale.keyed_messages / per_second), 2))
    with another(at, "keys") as apart:
        _sustain(apart, scale, report)


def _fill(at: Site, scale: Scale, report: Report) -> float:
    """Accept and trim keyed messages of one user, and weigh what is kept of them."""
    say("keys: what an hour of keyed messages keeps")
    # A partition's share of the whole hour takes minutes.
    messages = scale.keyed_messages
    keyed = _Keyed(at, _LIMITS, partition=0)
    before, began = used_bytes(at), time.monotonic()
    while keyed.sent < messages:
        keyed.send()
    per_second = messages / (time.monotonic() - began)
    each = (used_bytes(at) - before) / messages
    report.add("keys_bytes_each", "bytes", [each])
    report.add("keys_accepted", "msg/s", [per_second])
    report.add("keys_hour_at_5000", "MiB", [each * RATE * _HOUR / 2**20])
    return per_second


def _come_and_go(at: Site, scale: Scale, report: Report, window_seconds: int) -> None:
    """Do the same until as many keys end as begin: what has ended weighs until it is removed."""
    say(f"keys: what is kept when keys end after {window_seconds} s")
    limits = replace(_LIMITS, idempotency_seconds=window_seconds)
    keyed = _Keyed(at, limits, partition=1)
    before, weights, began = used_bytes(at), [], time.monotonic()
    for window in range(1, _WINDOWS + 1):
        sent = keyed.sent
        while time.monotonic() < began + window * window_seconds:
            keyed.send()
        weights.append((used_bytes(at) - before) / (keyed.sent - sent))
    report.add("keys_steady_bytes_each", "bytes", weights[1:])
    report.add("keys_steady_hour_at_5000", "MiB", [w * RATE * _HOUR / 2**20 for w in weights[1:]])


def _sustain(at: Site, scale: Scale, report: Report) -> None:
    """Let API and worker take keyed messages for windows that come and go."""
    window_seconds = 10 * scale.seconds
    say(f"keys: sustained, from {_CONNECTIONS} connections")
    paths = [(message_path(seat), seat.token) for seat in at.seats]
    env = at.environment | {"IDEMPOTENCY_SECONDS": str(window_seconds)}
    with field(at, ["verbatim"], env) as contest:
        url = contest.servers["verbatim"].url
        closed_loop(url, paths, _CONNECTIONS, scale.warm_up_seconds)
        contest.settle("verbatim")
        rates = []
        for _ in range(_WINDOWS):
            key = secrets.token_hex(8)
            seen = closed_loop(url, paths, _CONNECTIONS, window_seconds, keys=key)
            contest.settle("verbatim")
            rates.append(seen.per_second)
    report.add("keys_sustained", "msg/s", rates)


class _Keyed:
    """Keyed messages of one user, each group drained as soon as it is accepted."""

    def __init__(self, at: Site, limits: Limits, partition: int) -> None:
        self._at = at
        self._partition = partition
        self._limits = limits
        self._names = itertools.count()
        self._prefix = secrets.token_hex(4)
        opening = AcceptRequest("open", 16, "open", home=partition)
        (self._opened,) = at.log.accept(limits, _FAR, [opening]).results
        self.sent = 0

    def send(self) -> None:
        """Accept and trim one group."""
        requests = [
            AcceptRequest(
                *("add", 16, "message", self._opened.id, "user"),
                data=b"x",
                key=f"{self._prefix}-{next(self._names)}",
            )
            for _ in range(_GROUP)
        ]
        last = self._at.log.accept(self._limits, _FAR, requests).results[-1]
        self._at.log.trim({self._partition: last.id}, [self._opened.id], {})
        self.sent += _GROUP
