"""A long outage of PostgreSQL: what a great backlog costs, and how fast it is made up for."""

import time
from typing import Final

from tests.bench.drain import drain_seconds, fill, frozen_worker, used_bytes
from tests.bench.figures import Report, say
from tests.bench.scale import Scale
from tests.bench.site import Site

_PROCESSES: Final = 2


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Fill the log with nobody draining, then let a worker go."""
    entries = scale.backlog_entries
    tenth = entries // 10
    say(f"backlog: {entries:,} entries in")
    with frozen_worker(at, "workers.app", _PROCESSES) as process:
        empty_bytes = used_bytes(at)
        first = _filled_per_second(at, tenth)
        fill(at, entries - 2 * tenth)
        last = _filled_per_second(at, tenth)
        held_bytes = used_bytes(at) - empty_bytes
        report.add(f"backlog_append_at_{entries}_vs_empty", "msg/s", [last], [first])
        report.add(f"backlog_redis_at_{entries}", "MB", [held_bytes / 1e6])
        say("backlog: and out again")
        seconds = drain_seconds(at, process)
        report.add(f"backlog_drained_{entries}", "s", [seconds])
        report.add(f"drain_backlog_{entries}", "msg/s", [entries / seconds])


def _filled_per_second(at: Site, entries: int) -> float:
    started = time.monotonic()
    fill(at, entries)
    return entries / (time.monotonic() - started)
