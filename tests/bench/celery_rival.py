"""One Celery task per message: `celery --app=tests.bench.celery_rival worker`."""

import os

from celery import Celery
from sqlalchemy import Engine, create_engine

from api.core.settings import postgres_url
from tests.bench.inserts import BATCHED_QUEUE, QUEUE, Row, insert

app = Celery("rival", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    task_routes={"store_batched": {"queue": BATCHED_QUEUE}},
)
#: One per process, opened after the fork.
_engines: list[Engine] = []


@app.task(name="store")
def store(
    row_id: int, conversation_id: int, user_id: int, role: str, content: str, at: float
) -> None:
    if not _engines:
        _engines.append(create_engine(postgres_url(os.environ["BENCH_DATABASE_URL"])))
    insert(_engines[0], Row.from_json(row_id, conversation_id, user_id, role, content, at))


@app.task(name="store_batched")
def store_batched(*_: object) -> None:
    """Stand for the task of tests/bench/batches_rival.py, which has another Celery."""
    raise NotImplementedError
