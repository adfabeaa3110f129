"""The doctor looks at what moves entries: the broker, the workers, and the log they drain."""

from collections.abc import Iterator
from typing import Final

from kombu.exceptions import OperationalError
from sqlalchemy import Engine
from sqlmodel import select

from api.core.audit import audit
from api.core.bell import make_celery
from api.core.database import reading
from api.core.ids import ALL_PARTITIONS
from api.core.log import Log
from api.core.models.drain import DatabaseIdentity
from api.core.settings import Settings
from api.operations import dead_letters
from api.operations.doctor.findings import Finding, ok, problem, warning

#: How long workers have to say that they are there.
WORKERS_SECONDS: Final = 3.0
#: An entry this old is not on its way: it waits for somebody.
OLD_SECONDS: Final = 30


def examine_workers(settings: Settings) -> Iterator[Finding]:
    """Yield findings on Celery's broker, and on the workers that listen for doorbells there."""
    with make_celery(settings) as app:
        try:
            with app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0)
            answers = app.control.inspect(timeout=WORKERS_SECONDS).active_queues() or {}
        except (OperationalError, OSError) as error:
            yield problem(
                "broker",
                f"Celery's broker does not answer ({type(error).__name__}): nothing is drained, "
                "while writes are safe in the log",
                "start it, or correct CELERY_BROKER_URL",
            )
            return
        doorbell = app.conf.task_default_queue
    yield ok("broker", "Celery's broker answers")
    there = sum(any(queue["name"] == doorbell for queue in queues) for queues in answers.values())
    if there:
        yield ok("workers", f"{there} {'worker answers' if there == 1 else 'workers answer'}")
    else:
        yield problem(
            "workers",
            "no worker answers: nothing is drained, while writes are safe in the log",
            "start one, or look at its log for `the worker does not start`; a LOG_NAMESPACE of its "
            "own makes a worker deaf for this one",
        )


def examine_log(log: Log, engine: Engine, settings: Settings) -> Iterator[Finding]:
    """Yield findings on the log, its dead letters and its balance. Both servers must answer."""
    with reading(engine) as session:
        identity = str(session.exec(select(DatabaseIdentity.id)).one())
    marks, status = log.marks(ALL_PARTITIONS), log.status()
    if marks.database_id not in {None, identity}:
        yield problem(
            "log",
            "the log on this Redis belongs to another database",
            "set REDIS_URL to the right server, or put the right database back; a new log begins "
            "under another LOG_NAMESPACE",
        )
        return
    if None in marks.tails.values():
        yield problem("log", "the log is closed: nothing is accepted", "start an API or a worker")
    yield _backlog(status.entries, status.oldest_age_ms // 1000)
    fullest = max(partition.entries for partition in status.partitions)
    if fullest > settings.log_max_entries / 2:
        yield problem(
            "log",
            f"a partition holds {fullest} entries, and refuses writes from "
            f"{settings.log_max_entries} on (LOG_MAX_ENTRIES)",
            "docs/operations.md, the backlog grows",
        )
    if letters := dead_letters.find(engine):
        yield warning(
            "log",
            f"entries that PostgreSQL refused, dead letters: {len(letters)}",
            "`verbatim dead list`, then redrive or discard them",
        )
    yield from _balance(log, engine)


def _backlog(entries: int, oldest_seconds: int) -> Finding:
    if oldest_seconds < OLD_SECONDS:
        return ok("log", f"{entries} entries wait to be written")
    return problem(
        "log",
        f"{entries} entries wait to be written, the oldest for {oldest_seconds} s",
        "docs/operations.md, the backlog grows",
    )


def _balance(log: Log, engine: Engine) -> Iterator[Finding]:
    if log.went_back_at_ms():
        yield problem(
            "log",
            "the log began anew or lost entries at some time",
            "`verbatim audit` says when; `verbatim audit --acknowledge` takes it as known",
        )
    if wrong := [str(one.partition) for one in audit(log, engine) if not one.balanced]:
        yield problem(
            "log",
            f"accepted entries are not accounted for, in partition {', '.join(wrong)}",
            "`verbatim audit` counts them; docs/operations.md, Restore",
        )
    else:
        yield ok("log", "every accepted entry is accounted for")
