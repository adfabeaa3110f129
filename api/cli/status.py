"""`verbatim status`: backlog, lag and dead letters; each server is asked separately."""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from api.cli import lag, terminal
from api.core.database import reading
from api.core.errors import Unavailable
from api.core.log import Log
from api.core.models.drain import DatabaseIdentity
from api.operations import dead_letters
from api.reads.freshness import has
from api.reads.partitions import PartitionRepository
from api.reads.standby import LAG_MOST_SECONDS

#: How long a standby is waited for: it lags more than APIs take.
STANDBY_SECONDS: Final = 2 * LAG_MOST_SECONDS


def report(log: Log, engine: Engine, standby: Engine | None = None, replicas: int = 0) -> bool:
    """Print the state of the log and of the databases; return whether all answered.

    `replicas` is how many must have a write before it is answered.
    """
    answered = [
        _answers("redis", lambda: _report_log(log, replicas)),
        _answers("postgresql", lambda: _report_database(engine)),
    ]
    if standby is not None:
        answered.append(_answers("standby", lambda: _report_standby(engine, standby)))
    return all(answered)


def _answers(name: str, print_report: Callable[[], None]) -> bool:
    try:
        print_report()
    except (RedisError, SQLAlchemyError, Unavailable) as error:
        cause = error.__cause__ if isinstance(error, Unavailable) else error
        terminal.print_line(name, f"DOWN: it does not answer ({type(cause).__name__})")
        return False
    return True


def _report_log(log: Log, replicas: int) -> None:
    status, counts = log.status(), log.counts()
    held = sum(partition.bytes for partition in status.partitions)
    closed = [partition for partition in status.partitions if partition.tail is None]
    terminal.print_line(
        "redis", "CLOSED: nothing is accepted" if closed else "answers, the log is open"
    )
    _report_replicas(log, replicas)
    busy = sum(partition.entries > 0 for partition in status.partitions)
    terminal.print_line("backlog", f"{status.entries} entries, {held} bytes, in {busy} partitions")
    terminal.print_line("oldest", terminal.format_age(timedelta(milliseconds=status.oldest_age_ms)))
    terminal.print_line(
        "kept", f"{status.kept} entries that PostgreSQL has, in case that it goes back"
    )
    observed = lag.of_counts(counts)
    p50, p99 = (terminal.format_seconds(observed.quantile_seconds(q)) for q in (0.5, 0.99))
    terminal.print_line(
        "lag",
        f"p50 {p50}, p99 {p99}: {observed.entries} entries since this Redis counts, "
        "interpolated within the histogram's buckets",
    )
    names = ("committed", "duplicates", "discarded", "dead_letters", "batches")
    totals = (f"{counts.get(name, 0)} {name.replace('_', ' ')}" for name in names)
    terminal.print_line("drained", ", ".join(totals))


def _report_replicas(log: Log, wanted: int) -> None:
    """Say how many replicas there are, and how far the last one is behind, if there are any.

    Of a cluster: those of the master with the fewest.
    """
    try:
        masters = [_lags(master.info("replication")) for master in log.servers.masters()]
    except ResponseError:
        return  # a service that shows none
    online = min(map(len, masters))
    if online or wanted:
        asked = f"; an answer waits for {wanted}" if wanted else ""
        behind = max((lag for lags in masters for lag in lags), default=0)
        few = "TOO FEW: " if online < wanted else ""
        terminal.print_line("replicas", f"{few}{online} online, up to {behind} bytes behind{asked}")


def _lags(shown: Mapping[str, Any]) -> list[int]:
    """Return how many bytes each replica is behind, as its master's INFO shows them."""
    return [
        int(shown["master_repl_offset"]) - int(replica["offset"])
        for name, replica in shown.items()
        if re.fullmatch(r"slave\d+", name) and replica["state"] == "online"
    ]


def _report_database(engine: Engine) -> None:
    with reading(engine) as session:
        partitions = PartitionRepository(session).all()
        identity = session.exec(select(DatabaseIdentity.id)).one()
    letters = dead_letters.find(engine)
    applied, dead, discarded = (
        sum(getattr(partition, name) for partition in partitions)
        for name in ("applied", "dead", "discarded")
    )
    terminal.print_line(
        "postgresql", f"answers: {applied} applied, {dead} dead, {discarded} discarded"
    )
    terminal.print_line("identity", str(identity))
    if not letters:
        terminal.print_line("dead letters", "none")
        return
    reasons = Counter(letter.reason for letter in letters)
    named = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    oldest = datetime.now(UTC) - min(letter.created_at for letter in letters)
    terminal.print_line(
        "dead letters", f"{len(letters)} ({named}), the oldest for {terminal.format_age(oldest)}"
    )


def _report_standby(primary: Engine, standby: Engine) -> None:
    """Print how long the standby takes to have what the primary has now."""
    wanted = _last_ids(primary)
    begun = time.monotonic()
    while not has(_last_ids(standby), wanted):
        if (waited := time.monotonic() - begun) > STANDBY_SECONDS:
            terminal.print_line(
                "standby",
                f"LAGS: after {waited:.0f} s it lacks what PostgreSQL had; it is not used",
            )
            return
        time.sleep(0.005)
    lag = terminal.format_seconds(time.monotonic() - begun)
    terminal.print_line("standby", f"answers, and had what PostgreSQL has within {lag}")


def _last_ids(engine: Engine) -> Sequence[int]:
    with reading(engine) as session:
        return PartitionRepository(session).last_ids()
