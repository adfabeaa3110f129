"""What an idle stack costs: a serverless PostgreSQL must be able to sleep."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from api.local.postgres import EmbeddedPostgres
from tests.support.scale import scaled
from tests.support.servers import fresh_database
from tests.support.stacks import running_stack

pytestmark = pytest.mark.slow

IDLE_SECONDS = scaled(10, full=60)
#: Of one core, for all processes of the stack together.
CPU_MOST = 0.05


def test_an_idle_stack_asks_postgresql_nothing_and_needs_next_to_no_cpu(
    start_postgres: Callable[[], EmbeddedPostgres], tmp_path: Path
) -> None:
    postgres = start_postgres()
    database = fresh_database(postgres)
    # PostgreSQL's own house-keeping commits transactions too.
    administer(postgres, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
    with running_stack(tmp_path / "data", DATABASE_URL=database) as stack:
        processes = [psutil.Process(stack.process.pid)]
        processes += processes[0].children(recursive=True)
        os.kill(stack.pid_of("api"), signal.SIGSTOP)
        try:
            # A session that is idle hands its statistics in late (PGSTAT_IDLE_INTERVAL: 10 s).
            time.sleep(15)
            commits, cpu = commits_in(postgres, database), cpu_seconds(processes)
            time.sleep(IDLE_SECONDS)
            later, cpu_later = commits_in(postgres, database), cpu_seconds(processes)
        finally:
            os.kill(stack.pid_of("api"), signal.SIGCONT)

    assert later == commits
    assert (cpu_later - cpu) / IDLE_SECONDS < CPU_MOST


def administer(postgres: EmbeddedPostgres, *statements: str) -> list[tuple[int]]:
    with closing(psycopg2.connect(postgres.admin_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()


def commits_in(postgres: EmbeddedPostgres, database: str) -> int:
    name = make_url(database).database
    ((commits,),) = administer(
        postgres, f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{name}'"
    )
    return commits


def cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
