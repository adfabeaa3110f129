"""`verbatim status`: backlog, lag and dead letters; Redis and PostgreSQL are asked separately."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from api.cli import lag, terminal
from api.core.database import reading
from api.core.errors import Unavailable
from api.core.log import Log
from api.core.models import DatabaseIdentity
from api.operations import dead_letters
from api.reads.partitions import PartitionRepository


def report(log: Log, engine: Engine) -> bool:
    """Print the state of the log and of the database; return whether both answered."""
    answered = [
        _answers("redis", lambda: _report_log(log)),
        _answers("postgresql", lambda: _report_database(engine)),
    ]
    return all(answered)


def _answers(name: str, print_report: Callable[[], None]) -> bool:
    try:
        print_report()
    except (RedisError, SQLAlchemyError, Unavailable) as error:
        cause = error.__cause__ if isinstance(error, Unavailable) else error
        terminal.print_line(name, f"DOWN: it does not answer ({type(cause).__name__})")
        return False
    return True


def _report_log(log: Log) -> None:
    status, counts = log.status(), log.counts()
    held = sum(partition.bytes for partition in status.partitions)
    closed = [partition for partition in status.partitions if partition.tail is None]
    terminal.print_line(
        "redis", "CLOSED: nothing is accepted" if closed else "answers, the log is open"
    )
    busy = sum(partition.entries > 0 for partition in status.partitions)
    terminal.print_line("backlog", f"{status.entries} entries, {held} bytes, in {busy} partitions")
    terminal.print_line("oldest", terminal.format_age(timedelta(milliseconds=status.oldest_age_ms)))
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
