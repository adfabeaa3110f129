"""How fast a full log becomes rows, against one task per message, and against PostgreSQL alone."""

import io
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Final, cast

from celery import Celery
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, badly named
from psycopg2.extras import execute_values

from api.core import bell
from tests.bench.figures import Report, say
from tests.bench.inserts import BATCHED_QUEUE, QUEUE
from tests.bench.processes import BATCHES_PYTHON, Running, worker
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import TEXT, Site

#: What the drain takes at most, and so the raw contestants too, a transaction each.
BATCH: Final = 2048
#: One task per message is given so much less, or it would take all day.
_FEWER: Final = 10
_POLL_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 600.0
_MANY: Final = 1_000_000

Row = tuple[int, int, int, int, str, str, str, datetime]
_COLUMNS: Final = "id, conversation_id, user_id, position, role, content, status, created_at"


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure the drain and its rivals in turn, then what changes with its settings."""
    _memory(at, scale, report)
    messages = scale.drained_messages
    with ExitStack() as stack:
        ours = stack.enter_context(frozen_worker(at, "workers.app"))
        task = stack.enter_context(frozen_worker(at, "tests.bench.celery_rival"))
        contestants = {
            "verbatim": lambda: drained_per_second(at, ours, messages),
            "execute_values": lambda: _raw_per_second(at, messages, _execute_values),
            "copy": lambda: _raw_per_second(at, messages, _copy),
            "celery": lambda: _tasks_per_second(at, task, "store", QUEUE, messages // _FEWER),
        }
        if "batches" in scale.contestants:
            batched = stack.enter_context(frozen_worker(at, "tests.bench.batches_rival"))
            contestants["batches"] = lambda: _tasks_per_second(
                at, batched, "store_batched", BATCHED_QUEUE, messages // _FEWER
            )
        say("drain: a full log, against rivals")
        seen = interleaved(list(contestants), scale.rounds, lambda name: contestants[name]())
    values = seen.pop("verbatim")
    for name, theirs in seen.items():
        report.add(f"drain_verbatim_vs_{name}", "msg/s", values, theirs)
    if scale.rounds > 3:
        _variants(at, messages, report)


def _variants(at: Site, messages: int, report: Report) -> None:
    for size in (1, 8, 64, 512, 5_000):
        say(f"drain: batches of {size}")
        some = min(messages, 400 * size)
        with frozen_worker(at, "workers.app", BATCH_MAX_ENTRIES=str(size)) as process:
            report.add(f"drain_batch_{size}", "msg/s", [drained_per_second(at, process, some)])
    for processes in (1, 2, 4):
        say(f"drain: {processes} processes")
        with frozen_worker(at, "workers.app", concurrency=processes) as process:
            speed = drained_per_second(at, process, 2 * messages)
        report.add(f"drain_processes_{processes}", "msg/s", [speed])
    say("drain: a million entries")
    with frozen_worker(at, "workers.app", concurrency=2) as process:
        report.add("drain_backlog_1000000", "msg/s", [drained_per_second(at, process, _MANY)])


@contextmanager
def frozen_worker(
    at: Site, app: str, concurrency: int = 1, **environment: str
) -> Iterator[Running]:
    """Run a worker that is stopped until it is measured."""
    python = BATCHES_PYTHON if app.endswith("batches_rival") else None
    env = at.environment | environment
    with worker(app, env, at.directory, concurrency=concurrency, python=python) as process:
        process.signal(signal.SIGSTOP)
        try:
            yield process
        finally:
            process.signal(signal.SIGCONT)


def drained_per_second(at: Site, process: Running, messages: int) -> float:
    """Fill the log, then let the worker go, and see how long it takes."""
    fill(at, messages)
    bell.ring(bell.make_celery(at.settings))
    return messages / _seconds_of(process, lambda: at.backlog() == 0)


def fill(at: Site, messages: int) -> None:
    """Put messages into the log as fast as it takes them."""
    for first in range(0, messages, 128):
        several = range(first, min(first + 128, messages))
        at.accept(*(at.add_request(number) for number in several))


def _seconds_of(process: Running, done: Callable[[], bool]) -> float:
    started = time.monotonic()
    process.signal(signal.SIGCONT)
    while not done():
        if time.monotonic() - started > _PATIENCE_SECONDS:
            raise TimeoutError("the worker does not come to an end")
        time.sleep(_POLL_SECONDS)
    seconds = time.monotonic() - started
    process.signal(signal.SIGSTOP)
    return seconds


def _tasks_per_second(at: Site, process: Running, task: str, queue: str, messages: int) -> float:
    broker = at.environment["BENCH_BROKER_URL"]
    first = secrets.randbelow(2**40)
    with Celery(broker=broker) as sender, sender.producer_or_acquire() as producer:
        for number in range(messages):
            seat = at.seats[number % len(at.seats)]
            row = (first + number, seat.conversation_id, seat.user_id, "user", TEXT, time.time())
            sender.send_task(task, row, queue=queue, producer=producer, ignore_result=True)
    with at.connection() as connection:
        connection.autocommit = True
        before = _stored(connection)
        return messages / _seconds_of(process, lambda: _stored(connection) >= before + messages)


def _stored(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(message_count) FROM conversation")
        return int(cursor.fetchall()[0][0])


def _raw_per_second(
    at: Site, messages: int, write: Callable[[Connection, Sequence[Row]], None]
) -> float:
    """Have PostgreSQL write the same rows with nothing else to do; counts follow afterwards."""
    with at.connection() as connection:
        rows = _rows(at, connection, messages)
        started = time.monotonic()
        for first in range(0, messages, BATCH):
            with connection:
                write(connection, rows[first : first + BATCH])
        seconds = time.monotonic() - started
        with connection, connection.cursor() as cursor:
            counts = Counter(row[1] for row in rows)
            execute_values(
                cursor,
                "UPDATE conversation AS c SET message_count = message_count + e.added"
                " FROM (VALUES %s) AS e (id, added) WHERE c.id = e.id",
                list(counts.items()),
            )
    return messages / seconds


def _rows(at: Site, connection: Connection, messages: int) -> list[Row]:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, message_count FROM conversation")
        positions = Counter(dict(cursor.fetchall()))
    first, now, rows = secrets.randbelow(2**40), datetime.now(UTC), []
    for number in range(messages):
        seat = at.seats[number % len(at.seats)]
        positions[seat.conversation_id] += 1
        position = positions[seat.conversation_id]
        rows.append((
            *(first + number, seat.conversation_id, seat.user_id, position),
            *("user", TEXT, "stored", now),
        ))  # fmt: skip
    return rows


def _execute_values(connection: Connection, rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor:
        statement = f"INSERT INTO message ({_COLUMNS}) VALUES %s"
        execute_values(cursor, statement, rows, page_size=BATCH)


def _copy(connection: Connection, rows: Sequence[Row]) -> None:
    lines = io.StringIO("".join("\t".join(map(str, row)) + "\n" for row in rows))
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY message ({_COLUMNS}) FROM STDIN", lines)


def _memory(at: Site, scale: Scale, report: Report) -> None:
    """Weigh what a pending message needs; the recent turns of its conversation apart.

    By what Redis uses: MEMORY USAGE guesses 244 bytes for each node of a stream's index.
    """
    messages = scale.drained_messages
    for key in _turns(at):
        at.client.delete(key)
    before = _used_bytes(at)
    fill(at, messages)
    report.add("log_bytes_per_message", "bytes", [(_used_bytes(at) - before) / messages])
    at.drain()


def _turns(at: Site) -> list[bytes]:
    """Return the lists for the assistant: bounded by conversation, and gone an hour later."""
    return list(at.client.scan_iter(at.log.key("turns:*"), count=1000))


def _used_bytes(at: Site) -> int:
    return int(cast("dict[str, int]", at.client.info("memory"))["used_memory"])
