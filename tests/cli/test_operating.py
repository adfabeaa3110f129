"""migrate, status and audit, on real servers."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from redis import Redis
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli.app import app
from api.core import metrics
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.bind import open_log
from api.core.log import Log
from api.core.metrics import DrainCounts
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis

LIMITS = Limits(
    log_max_entries=1000, log_max_bytes=10**6, log_max_age_seconds=10**12, idempotency_seconds=60
)
NEVER = 2**53
UNREACHABLE_REDIS = "redis://127.0.0.1:9/0"
UNREACHABLE_DATABASE = "postgresql://user:hunter2@127.0.0.1:9/nothing"


def verbatim(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def accept(log: Log, *requests: AcceptRequest) -> list[int]:
    answers = log.accept(LIMITS, NEVER, requests).results
    assert {answer.status for answer in answers} == {"ok"}
    return [answer.id for answer in answers]


def accept_conversation(log: Log, messages: int) -> int:
    (conversation,) = accept(log, AcceptRequest("open", 1, "open", key=secrets.token_hex(4)))
    for _ in range(messages):
        accept(log, AcceptRequest("add", 1, "message", conversation, "user", data=b"private words"))
    return conversation


@pytest.fixture
def empty_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> Iterator[None]:
    """An empty database, without a schema."""
    name = f"bare_{secrets.token_hex(4)}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", re.sub("[^/]+$", name, postgres_server.url))
    connection = psycopg2.connect(postgres_server.admin_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} OWNER verbatim")
        yield
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


def test_migrate_prints_its_migrations_and_then_that_nothing_was_missing(
    empty_database: None,
) -> None:
    first = verbatim("migrate")
    second = verbatim("migrate")

    assert first.exit_code == second.exit_code == 0, first.output
    assert re.search(r"^migrated +0001 ", first.stdout, re.MULTILINE)
    assert "migrated" not in second.stdout
    assert "nothing was missing" in second.stdout


def test_a_schema_of_a_newer_version_is_left_alone(stack: None, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    result = verbatim("migrate")

    assert result.exit_code == 3
    assert result.stderr == "verbatim: the schema is at 9999, which this version does not know\n"


def test_status_shows_the_backlog_and_its_age(log: Log) -> None:
    accept_conversation(log, messages=2)

    result = verbatim("status")

    assert result.exit_code == 0, result.output
    assert "3 entries, 26 bytes, in 1 partitions" in result.stdout
    assert re.search(r"^oldest +0\.\d s$", result.stdout, re.MULTILINE)
    assert re.search(r"^dead letters +none$", result.stdout, re.MULTILINE)
    assert "private words" not in result.output


def test_status_shows_the_lag_that_drains_counted(log: Log) -> None:
    counts = DrainCounts()
    counts.count(committed=100)
    for _ in range(100):
        counts.observe_lags([9])
    log.trim({}, [], counts.mapping())

    result = verbatim("status")

    low, high = max(b for b in metrics.MS_BOUNDS if b < 9), 10
    found = re.search(r"p50 ([\d.]+) ms, p99 ([\d.]+) ms: 100 entries", result.stdout)
    assert found
    assert low < float(found[1]) < float(found[2]) <= high
    assert "100 committed" in result.stdout


def test_status_of_a_closed_log_says_that_nothing_is_accepted(stack: None) -> None:
    assert "CLOSED" in verbatim("status").stdout


def test_status_works_without_redis(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", UNREACHABLE_REDIS)

    result = verbatim("status")

    assert result.exit_code == 1
    assert "DOWN: it does not answer (ConnectionError)" in result.stdout
    assert re.search(r"^postgresql +answers", result.stdout, re.MULTILINE)
    assert result.stderr == ""


def test_status_works_without_postgresql(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    accept_conversation(log, messages=1)
    monkeypatch.setenv("DATABASE_URL", UNREACHABLE_DATABASE)

    result = verbatim("status")

    assert result.exit_code == 1
    assert "2 entries" in result.stdout
    assert re.search(r"^postgresql +DOWN", result.stdout, re.MULTILINE)
    assert "hunter2" not in result.output


def test_status_shows_the_memory_of_the_log_and_of_expiring_keys(log: Log) -> None:
    accept_conversation(log, messages=20)

    result = verbatim("status", "--memory")

    assert result.exit_code == 0, result.output
    held = re.search(r"memory +(\d+) bytes in the 16 logs", result.stdout)
    assert held
    assert int(held[1]) > 20 * len("private words")
    assert re.search(r"apart +conv: 1 keys, about \d+ bytes, 0% with a TTL", result.stdout)
    assert re.search(r"apart +idem: 1 keys, about \d+ bytes, 100% with a TTL", result.stdout)


def test_the_audit_balances_while_entries_are_pending(log: Log) -> None:
    for _ in range(20):
        accept_conversation(log, messages=3)

    result = verbatim("audit")

    assert result.exit_code == 0, result.output
    assert "balances: 80 entries accepted" in result.stdout


def test_the_audit_fails_when_the_log_counted_one_more(log: Log, redis_client: Redis) -> None:
    accept_conversation(log, messages=3)
    redis_client.incr(log.key(5, "accepted"))

    result = verbatim("audit")

    assert result.exit_code == 1
    assert "DOES NOT BALANCE in partition 5" in result.stdout


@pytest.mark.parametrize("column", ["applied", "dead", "discarded"])
def test_the_audit_fails_when_postgresql_counted_one_more(
    log: Log, engine: Engine, column: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE log_partition SET {column} = {column} + 1 WHERE id = 7"))

    result = verbatim("audit")

    assert result.exit_code == 1
    assert "DOES NOT BALANCE in partition 7" in result.stdout


def test_the_audit_fails_when_an_entry_is_lost(log: Log, redis_client: Redis) -> None:
    conversation = accept_conversation(log, messages=3)
    redis_client.xtrim(log.key(conversation & 15, "log"), maxlen=3, approximate=False)

    result = verbatim("audit")

    assert result.exit_code == 1
    assert f"DOES NOT BALANCE in partition {conversation & 15}" in result.stdout


def test_the_audit_fails_after_the_log_began_anew_until_that_is_acknowledged(
    log: Log, redis_client: Redis, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE log_partition SET applied = 3, last_id = 4103 WHERE id = 7")
        )
    redis_client.flushdb()
    open_log(log, engine)

    failed = verbatim("audit")
    acknowledged = verbatim("audit", "--acknowledge")
    later = verbatim("audit")

    assert failed.exit_code == 1
    assert "THE LOG WENT BACK" in failed.stdout
    assert "all accounted for" not in failed.stdout
    assert (acknowledged.exit_code, later.exit_code) == (0, 0)
    assert "balances: 3 entries accepted" in later.stdout


@pytest.mark.parametrize(
    ("variable", "url"), [("REDIS_URL", UNREACHABLE_REDIS), ("DATABASE_URL", UNREACHABLE_DATABASE)]
)
def test_an_audit_without_a_server_is_an_error_of_one_line(
    stack: None, monkeypatch: pytest.MonkeyPatch, variable: str, url: str
) -> None:
    monkeypatch.setenv(variable, url)

    result = verbatim("audit")

    assert result.exit_code == 3
    assert result.stderr.startswith("verbatim: ")
    assert result.stderr.count("\n") == 1
    assert "hunter2" not in result.output


def test_without_urls_the_stack_in_the_data_directory_is_used(
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    postgres_server: EmbeddedPostgres,
    redis_server: EmbeddedRedis,
) -> None:
    accept_conversation(log, messages=1)
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("REDIS_URL")
    (tmp_path / ".verbatim").mkdir()
    (tmp_path / ".verbatim" / "postgres").symlink_to(postgres_server.directory)
    (tmp_path / ".verbatim" / "redis").symlink_to(redis_server.directory)

    migrated = verbatim("migrate")
    result = verbatim("status")

    assert migrated.exit_code == 0, migrated.output
    assert result.exit_code == 0, result.output
    assert "2 entries" in result.stdout
    assert re.search(r"^postgresql +answers", result.stdout, re.MULTILINE)


def test_a_data_directory_is_not_created_by_looking_for_a_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)

    result = verbatim("status")

    assert result.exit_code == 3
    assert result.stderr.startswith("verbatim: DATABASE_URL is not set")
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_setting_is_named_and_not_quoted(
    stack: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "too-short-and-secret")

    result = verbatim("status")

    assert result.exit_code == 3
    assert "SECRET_KEY must have at least 32 bytes" in result.stderr
    assert "too-short-and-secret" not in result.output
    assert result.stderr.count("\n") == 1
