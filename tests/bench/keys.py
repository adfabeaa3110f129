"""What idempotency keys take of Redis, and how fast keyed messages are accepted."""

import time
from typing import Final

from api.core.entries import AcceptRequest
from api.core.log import Limits
from tests.bench.drain import used_bytes
from tests.bench.figures import Report, say
from tests.bench.scale import Scale
from tests.bench.site import Site

#: Messages of one call, and of one conversation.
_GROUP: Final = 125
#: A partition's share of an hour at that rate.
RATE: Final = 5_000
_HOUR: Final = 3_600
_FAR: Final = 10**13


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Accept and trim keyed messages of one user, and weigh what is kept of them."""
    say("keys: what an hour of keyed messages keeps")
    # A partition's share of the whole hour takes minutes.
    messages = scale.keyed_messages
    limits = Limits(
        log_max_entries=10**9,
        log_max_bytes=10**12,
        log_max_age_seconds=10**9,
        idempotency_seconds=_HOUR,
    )
    (opened,) = at.log.accept(limits, _FAR, [AcceptRequest("open", 16, "open")]).results
    before, began = used_bytes(at), time.monotonic()
    for start in range(0, messages, _GROUP):
        requests = [
            AcceptRequest("add", 16, "message", opened.id, "user", data=b"x", key=f"key-{n}")
            for n in range(start, start + _GROUP)
        ]
        last = at.log.accept(limits, _FAR, requests).results[-1]
        at.log.trim({0: last.id}, [opened.id], {})
    each = (used_bytes(at) - before) / messages
    report.add("keys_bytes_each", "bytes", [each])
    report.add("keys_accepted", "msg/s", [messages / (time.monotonic() - began)])
    report.add("keys_hour_at_5000", "MiB", [each * RATE * _HOUR / 2**20])
