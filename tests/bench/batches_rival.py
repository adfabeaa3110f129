"""The same with celery-batches, alone in its virtual environment: it knows nothing of Verbatim.

`celery --app=tests.bench.batches_rival worker`
"""

import os
from collections.abc import Sequence
from typing import Any, Final

import psycopg2
from celery import Celery
from celery_batches import Batches
from psycopg2.extras import execute_values

QUEUE: Final = "rival-batches"
MOST: Final = 512

app = Celery("rival-batches", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(task_default_queue=QUEUE, task_ignore_result=True, worker_prefetch_multiplier=0)
#: One per process, opened after the fork.
_connections: list[Any] = []

_LOCK: Final = "SELECT FROM conversation WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
_ADD: Final = """
    INSERT INTO message (id, conversation_id, user_id, position, role, content, status, created_at)
    SELECT e.id, c.id, c.user_id,
        c.message_count + row_number() OVER (PARTITION BY c.id ORDER BY e.id),
        e.role, e.content, 'stored', to_timestamp(e.at)
    FROM (VALUES %s) AS e (id, conversation_id, user_id, role, content, at)
    JOIN conversation AS c ON c.id = e.conversation_id AND c.user_id = e.user_id
"""
_COUNT: Final = """
    UPDATE conversation AS c SET message_count = c.message_count + e.added, updated_at = now()
    FROM (SELECT id, count(*) AS added FROM unnest(%s::bigint[]) AS u (id) GROUP BY id) AS e
    WHERE c.id = e.id
"""


@app.task(name="store_batched", base=Batches, flush_every=MOST, flush_interval=1)
def store_batched(requests: Sequence[Any]) -> None:
    if not _connections:
        _connections.append(psycopg2.connect(os.environ["BENCH_DATABASE_URL"]))
    rows = [tuple(request.args) for request in requests]
    conversations = [row[1] for row in rows]
    with _connections[0] as connection, connection.cursor() as cursor:
        cursor.execute(_LOCK, (conversations,))
        execute_values(cursor, _ADD, rows, page_size=MOST)
        cursor.execute(_COUNT, (conversations,))
