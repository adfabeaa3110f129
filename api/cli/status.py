"""`verbatim status`: how far the drain is, asked of Redis and of PostgreSQL, each by itself."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.cli import lag, terminal
from api.core.database import reading
from api.core.errors import Unavailable
from api.core.log import Log
from api.operations import dead_letters
from api.reads.repositories import PartitionRepository


def report(log: Log, engine: Engine) -> bool:
    """Print what each of the two says; return whether both answered."""
    answered = [
        _said("redis", lambda: _report_log(log)),
        _said("postgresql", lambda: _report_database(engine)),
    ]
    return all(answered)


def _said(name: str, ask: Callable[[], None]) -> bool:
    try:
        ask()
    except (RedisError, SQLAlchemyError, Unavailable) as error:
        cause = error.__cause__ if isinstance(error, Unavailable) else error
        terminal.say(name, f"DOWN: it does not answer ({type(cause).__name__})")
        return False
    return True


def _report_log(log: Log) -> None:
    status, counts = log.status(), log.counts()
    held = sum(partition.bytes for partition in status.partitions)
    closed = [partition for partition in status.partitions if partition.tail is None]
    terminal.say("redis", "CLOSED: nothing is accepted" if closed else "answers, the log is open")
    busy = sum(partition.entries > 0 for partition in status.partitions)
    terminal.say("backlog", f"{status.entries} entries, {held} bytes, in {busy} partitions")
    terminal.say("oldest", age(timedelta(milliseconds=status.oldest_age_ms)))
    observed = lag.of_counts(counts)
    p50, p99 = (terminal.milliseconds(observed.quantile_seconds(q)) for q in (0.5, 0.99))
    terminal.say(
        "lag",
        f"p50 {p50}, p99 {p99}: {observed.entries} entries since this Redis counts, "
        "interpolated within the histogram's buckets",
    )
    names = ("committed", "duplicates", "discarded", "dead_letters", "batches")
    totals = (f"{counts.get(name, 0)} {name.replace('_', ' ')}" for name in names)
    terminal.say("drained", ", ".join(totals))


def _report_database(engine: Engine) -> None:
    with reading(engine) as session:
        partitions = PartitionRepository(session).all()
    letters = dead_letters.find(engine, limit=1_000_000)
    applied, dead, discarded = (
        sum(getattr(partition, name) for partition in partitions)
        for name in ("applied", "dead", "discarded")
    )
    terminal.say("postgresql", f"answers: {applied} applied, {dead} dead, {discarded} discarded")
    if not letters:
        terminal.say("dead letters", "none")
        return
    reasons = Counter(letter.reason for letter in letters)
    named = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    oldest = datetime.now(UTC) - min(letter.created_at for letter in letters)
    terminal.say("dead letters", f"{len(letters)} ({named}), the oldest for {age(oldest)}")


def age(span: timedelta) -> str:
    """Write a time span in its largest unit."""
    seconds = max(span.total_seconds(), 0.0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
