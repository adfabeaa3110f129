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
from tests.bench.site import TEXT, Site, stored

#: What the drain takes at most, and so the raw contestants too, a transaction each.
BATCH: Final = 2048
#: One task per message is given so much less, or it would take all day.
_FEWER: Final = 20
#: For celery-batches, whole batches: one that is not full would wait for a second.
_BATCHED: Final = 8 * 512
#: Transactions of the smaller batches that are enough to tell.
_SMALL_BATCHES: Final = 400
_POLL_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 900.0

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
                at, batched, "store_batched", BATCHED_QUEUE, _BATCHED
            )
        say("drain: a full log, against rivals")
        seen = interleaved(list(contestants), scale.rounds, lambda name: contestants[name]())
    values = seen.pop("verbatim")
    for name, theirs in seen.items():
        report.add(f"drain_verbatim_vs_{name}", "msg/s", values, theirs)
    _variants(at, scale, report)


def _variants(at: Site, scale: Scale, report: Report) -> None:
    """Drain with other settings, each with a worker of its own: frozen ones would take rings."""
    sizes = {f"batch_{size}": size for size in scale.batch_sizes}
    processes = {f"processes_{number}": number for number in scale.processes}
    half = scale.drained_messages // 2

    def drained(variant: str) -> float:
        size, concurrency = sizes.get(variant, BATCH), processes.get(variant, 1)
        with frozen_worker(at, "workers.app", concurrency, BATCH_MAX_ENTRIES=str(size)) as process:
            return drained_per_second(at, process, min(half, _SMALL_BATCHES * size))

    say("drain: batch sizes, worker processes")
    for variant, seen in interleaved([*sizes, *processes], scale.side_rounds, drained).items():
        report.add(f"drain_{variant}", "msg/s", seen)


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
    return messages / drain_seconds(at, process)


def drain_seconds(at: Site, process: Running) -> float:
    """Let the worker go until the log is empty."""
    bell.ring(bell.make_celery(at.settings))
    return _seconds_of(process, lambda: at.backlog() == 0)


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
        wanted = stored(connection) + messages
        return messages / _seconds_of(process, lambda: stored(connection) >= wanted)


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
    before = used_bytes(at)
    fill(at, messages)
    report.add("log_bytes_per_message", "bytes", [(used_bytes(at) - before) / messages])
    at.drain()


def _turns(at: Site) -> list[bytes]:
    """Return the lists for the assistant: bounded by conversation, and gone an hour later."""
    return list(at.client.scan_iter(f"{{{at.log.namespace}:*}}:turns:*", count=1000))


def used_bytes(at: Site) -> int:
    """Return the memory that Redis uses."""
    return int(cast("dict[str, int]", at.client.info("memory"))["used_memory"])
