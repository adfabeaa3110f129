"""`verbatim doctor`: each fault is made on real servers, and told in words that name it."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.cli.app import app
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.bind import open_log
from api.core.log import Log
from api.core.settings import Settings, postgres_url
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from api.operations.doctor import redis_server
from api.operations.doctor.examination import examine
from api.operations.doctor.findings import Finding, clock
from api.operations.doctor.settings import examine as examine_settings
from tests.support.bucket_server import BucketServer
from tests.support.pgbouncer import pooled
from tests.support.rows import add_user
from tests.support.servers import urls_of

FORGETS = (
    "PostgreSQL may lose what it committed: fsync, full_page_writes off. The log has let go of it "
    "by then"
)
#: The PostgreSQL of the tests does not wait for its disk, and nobody works on their log.
EXPECTED = {
    FORGETS,
    "no worker answers: nothing is drained, while writes are safe in the log",
}
SILENT_BROKER = (
    "Celery's broker does not answer (OperationalError): nothing is drained, while writes are safe "
    "in the log"
)
NOWHERE = "127.0.0.1:9"


@pytest.fixture
def settings(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    postgres_server: EmbeddedPostgres,
    database_url: str,
    redis_url: str,
    namespace: str,
) -> Settings:
    """A stack's settings, with a role for each kind of process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("api.operations.doctor.queue.WORKERS_SECONDS", 0.1)
    return Settings.model_validate(
        {
            **urls_of(postgres_server, database_url),
            "redis_url": redis_url,
            "log_namespace": namespace,
            "secret_key": "s" * 32,
        }
    )


@pytest.fixture
def log(settings: Settings, redis_client: Redis, engine: Engine) -> Log:
    opened = Log(redis_client, settings.log_namespace)
    open_log(opened, engine)
    return opened


def wrong(found: list[Finding], area: str = "") -> set[str]:
    return {one.says for one in found if one.level != "ok" and area in {"", one.area}}


def told(settings: Settings) -> set[str]:
    """Return what the doctor says is wrong, beside what is always wrong in these tests."""
    found = examine(settings, ())
    assert all(one.do for one in found if one.level != "ok"), "there is nothing to do about it"
    return wrong(found) - EXPECTED


def changed(settings: Settings, **values: str | int) -> Settings:
    return settings.model_copy(update=values)


def test_of_a_stack_that_is_well_nothing_is_told(settings: Settings, log: Log) -> None:
    found = examine(settings, ())

    assert wrong(found) == EXPECTED
    assert {one.area for one in found} == {
        *("settings", "redis", "postgresql", "broker", "workers", "log")
    }


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"redis_durability": "everysec"}, "may take the last second"),
        ({"redis_durability": "unchecked"}, "nobody checks"),
        ({"row_security": "unchecked"}, "rows of other users"),
        ({"assistant": "openai"}, "neither OPENAI_API_KEY nor"),
        ({"secret_key": None}, "SECRET_KEY is not set"),
        ({"redis_url": None}, "REDIS_URL is not set"),
    ],
)
def test_a_setting_that_is_missing_or_promises_less_is_told(
    values: dict[str, str | None], part: str
) -> None:
    whole = {"database_url": "postgresql://h/d", "redis_url": "redis://h", "secret_key": "s" * 32}
    settings = Settings.model_validate(whole | values)

    assert [says for says in wrong(list(examine_settings(settings, ()))) if part in says]


def test_a_misspelt_setting_is_told_with_the_name_that_was_meant() -> None:
    found = list(examine_settings(Settings(), ["REDIS_DURABILTY", "REDIS_URL", "HOME"]))

    assert [(one.says, one.do) for one in found if one.level == "warning"] == [
        ("REDIS_DURABILTY is no setting, and without effect", "did you mean REDIS_DURABILITY?")
    ]


def test_an_invalid_setting_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "amqp://guest:hunter2@h")

    done = CliRunner().invoke(app, ["doctor"])

    assert done.exit_code == 1
    assert "PROBLEM: REDIS_URL: it must start with redis://" in done.stdout
    assert "hunter2" not in done.output


def test_clocks_that_differ_are_told() -> None:
    assert clock("redis", "Redis", 0.9, 0.1).level == "ok"
    assert clock("redis", "Redis", 1.5, 0.6).level == "ok"
    assert "Redis is 2.0 s ahead of" in clock("redis", "Redis", 2.0, 0.1).says
    assert "Redis is 2.0 s behind" in clock("redis", "Redis", -2.0, 0.1).says


@pytest.fixture(scope="module")
def own_redis(start_redis: Callable[[], EmbeddedRedis]) -> EmbeddedRedis:
    return start_redis()


@pytest.fixture
def configured(own_redis: EmbeddedRedis) -> Iterator[Redis]:
    """A Redis whose configuration is put back."""
    with Redis.from_url(own_redis.url, decode_responses=True) as redis:
        names = ("appendfsync", "maxmemory-policy", "maxmemory")
        before = {name: redis.config_get(name)[name] for name in names}
        yield redis
        redis.replicaof("NO", "ONE")
        for name, value in before.items():
            redis.config_set(name, value)


def told_of(redis: Redis) -> set[str]:
    return wrong(list(redis_server.examine(redis, Settings())))


def test_a_redis_that_forgets_or_is_full_or_a_replica_is_told(configured: Redis) -> None:
    assert told_of(configured) == set()

    configured.config_set("appendfsync", "everysec")
    configured.config_set("maxmemory-policy", "allkeys-lru")
    (says,) = told_of(configured)
    assert "appendfsync is 'everysec', must be always" in says
    assert "maxmemory-policy is 'allkeys-lru', must be noeviction" in says
    configured.config_set("appendfsync", "always")
    configured.config_set("maxmemory-policy", "noeviction")

    configured.config_set("maxmemory", "0")
    (says,) = told_of(configured)
    assert "no limit of memory" in says
    used = configured.info("memory")["used_memory"]
    configured.config_set("maxmemory", str(used))
    (says,) = told_of(configured)
    assert "new conversations are refused" in says
    configured.config_set("maxmemory", "1gb")

    configured.replicaof("127.0.0.1", "9")
    (says,) = told_of(configured)
    assert "leads to a replica" in says


def test_an_old_redis_is_told(configured: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "OLDEST_VERSION", (99, 0))

    (says,) = told_of(configured)

    assert says.endswith("is too old")


def test_a_redis_that_hides_its_info_or_refuses_is_told(configured: Redis) -> None:
    configured.acl_setuser(
        "narrow",
        enabled=True,
        passwords=["+pw"],
        categories=["+@all"],
        commands=["-info"],
        keys="*",
    )
    options = configured.connection_pool.connection_kwargs
    port = options["port"]

    with Redis.from_url(f"redis://narrow:pw@127.0.0.1:{port}", decode_responses=True) as redis:
        (says,) = told_of(redis)
    with Redis.from_url(f"redis://narrow:not@127.0.0.1:{port}") as redis:
        (refused,) = told_of(redis)

    assert "does not show its INFO" in says
    assert "refuses the name or password" in refused


def test_servers_that_are_away_are_told_and_no_password_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "WORKER_DATABASE_URL", "DATABASE_DIRECT_URL"):
        monkeypatch.setenv(name, f"postgresql://user:hunter2@{NOWHERE}/nothing")
    monkeypatch.setenv("REDIS_URL", f"redis://user:hunter2@{NOWHERE}")
    monkeypatch.setenv("SECRET_KEY", "hunter2" * 5)

    lines = CliRunner().invoke(app, ["doctor"])
    done = CliRunner().invoke(app, ["doctor", "--json"])

    assert lines.exit_code == done.exit_code == 1
    assert "hunter2" not in lines.output + done.output
    answer = json.loads(done.stdout)
    assert not answer["well"]
    problems = {(one["area"], one["says"]) for one in answer["findings"] if one["level"] != "ok"}
    assert problems == {
        ("redis", "Redis cannot be reached (ConnectionError): nothing is accepted"),
        ("broker", SILENT_BROKER),
        *(
            ("postgresql", f"nobody can connect by {name}: no server listens there")
            for name in ("DATABASE_URL", "WORKER_DATABASE_URL", "DATABASE_DIRECT_URL")
        ),
        ("log", "the log was not looked at: it needs both servers"),
    }


def test_roles_that_are_too_strong_or_unknown_are_told(settings: Settings, log: Log) -> None:
    owner = settings.database_direct_url or ""
    stranger = re.sub("//[^@]+@", "//nobody:pw@", owner)

    assert told(changed(settings, database_url=owner)) == {
        "the role of DATABASE_URL owns the tables"
    }
    assert told(changed(settings, database_url=settings.worker_database_url or "")) == {
        "the role of DATABASE_URL has the worker's rights"
    }
    assert told(changed(settings, database_url=stranger)) == {
        "nobody can connect by DATABASE_URL: the name or password is wrong"
    }
    assert told(changed(settings, read_database_url=stranger)) == {
        "nobody can connect by READ_DATABASE_URL: the name or password is wrong"
    }


def test_a_postgresql_that_is_too_old_is_told(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("api.core.database", "api.operations.doctor.postgres_server"):
        monkeypatch.setattr(f"{module}.OLDEST_POSTGRES", 99)

    assert told(settings) == {
        "PostgreSQL 18 is too old",
        "the log was not looked at: it needs both servers",
    }


def test_a_schema_that_is_behind_or_unknown_or_hidden_is_told(
    settings: Settings, log: Log, engine: Engine
) -> None:
    hidden = changed(settings, database_direct_url=settings.database_url or "")
    assert told(hidden) == {"the schema's version is not shown to this role"}

    for revision, says in {
        "0009": "the schema is at 0009",
        "9999": "the schema is at 9999, which this version does not know",
    }.items():
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
        assert told(settings) == {says}


@pytest.mark.slow
def test_a_bucket_is_tried_and_left_as_it_was(settings: Settings, log: Log, tmp_path: Path) -> None:
    server = BucketServer(tmp_path)
    whole = settings.model_copy(update=server.settings)
    server.start()
    try:
        found = examine(whole, ())
        left = server.objects()
        refused = whole.model_copy(update={"assets_secret_access_key": SecretStr("another")})
        of_refused = told(refused)
    finally:
        server.stop()

    assert wrong(found) == EXPECTED
    assert [one.says for one in found if one.area == "files"] == [
        "the bucket of files stores, reads and deletes"
    ]
    assert left == {}
    silent = "the bucket of files is away, or refuses (%s): storing an object failed"
    assert of_refused == {silent % "PermissionDeniedError"}
    assert told(whole) == {silent % "GenericError"}


def test_files_that_nobody_can_reach_or_delete_are_told(
    settings: Settings, log: Log, engine: Engine
) -> None:
    owner = add_user(engine, "ada")
    with engine.begin() as connection:
        file = text("INSERT INTO asset VALUES ('a', :owner, 'x', 'text/plain', 1, now(), NULL)")
        connection.execute(file, {"owner": owner})
    assert told(settings) == {
        "files are in a bucket, and ASSETS_URL names none: they cannot be read"
    }

    with engine.begin() as connection:
        connection.execute(text("DELETE FROM asset"))
        connection.execute(text("UPDATE asset_leftover SET due_at = now() - interval '4 hours'"))
    assert told(settings) == {"objects of deleted files that wait to be deleted from the bucket: 1"}


def test_a_database_that_is_read_only_is_told(
    settings: Settings, log: Log, postgres_server: EmbeddedPostgres, database_url: str
) -> None:
    name = postgres_url(database_url).database
    connection = psycopg2.connect(postgres_server.admin_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        cursor.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    connection.close()

    # The audit locks rows, which a read-only database does not allow.
    assert "the database is read-only (set so): messages wait in the log, nobody can sign in" in (
        said := told(settings)
    )
    assert any("synchronous_commit off" in one for one in said)


def test_a_database_of_another_encoding_is_told(
    settings: Settings, postgres_server: EmbeddedPostgres, namespace: str
) -> None:
    connection = psycopg2.connect(postgres_server.admin_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE DATABASE "{namespace}" OWNER verbatim TEMPLATE template0 ENCODING SQL_ASCII '
            "LOCALE_PROVIDER libc LOCALE 'C'"
        )
        url = postgres_url(postgres_server.url).set(database=namespace)
        owner = url.set(drivername="postgresql").render_as_string(hide_password=False)
        empty = changed(
            settings, database_url=owner, worker_database_url=owner, database_direct_url=owner
        )

        said = told(empty)

        cursor.execute(f'DROP DATABASE "{namespace}" WITH (FORCE)')
    connection.close()
    assert "the database's encoding is SQL_ASCII: texts become dead letters" in said
    assert "the schema is at nothing" in said


def test_migrations_through_a_pooler_are_told(settings: Settings, log: Log, tmp_path: Path) -> None:
    owner = postgres_url(settings.database_direct_url or "")
    with pooled(tmp_path, [owner], 2) as (url,):
        through = url.set(drivername="postgresql").render_as_string(hide_password=False)

        assert told(changed(settings, database_direct_url=through)) == {
            "migrations would go through a pooler"
        }


def test_a_log_that_is_closed_or_another_database_s_is_told(
    settings: Settings, redis_client: Redis
) -> None:
    assert told(settings) == {"the log is closed: nothing is accepted"}

    Log(redis_client, settings.log_namespace).adopt("another", [(p, 0, 0) for p in range(16)])

    assert told(settings) == {"the log on this Redis belongs to another database"}


def test_what_waits_is_dead_or_unaccounted_is_told(
    settings: Settings, log: Log, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(
        log_max_entries=9, log_max_bytes=10**6, log_max_age_seconds=9, idempotency_seconds=60
    )
    log.accept(limits, 2**53, [AcceptRequest("open", 1, "open", key="a")])
    monkeypatch.setattr("api.operations.doctor.queue.OLD_SECONDS", 0)
    with engine.begin() as connection:
        connection.execute(text("UPDATE log_partition SET applied = 1 WHERE id = 5"))
        connection.execute(
            text(
                "INSERT INTO dead_letter (entry_id, partition, op, user_id, conversation_id,"
                " payload, reason, entry_created_at)"
                " VALUES (4, 4, 'message', 1, 4, '', 'refused', now())"
            )
        )

    said = told(changed(settings, log_max_entries=1))

    assert "accepted entries are not accounted for, in partition 5" in said
    assert "entries that PostgreSQL refused, dead letters: 1" in said
    assert any(re.match(r"1 entries wait to be written, the oldest for \d+ s", one) for one in said)
    assert any(one.startswith("a partition holds 1 entries, and refuses") for one in said)

    log.redis.flushdb()
    open_log(log, engine)
    assert "the log began anew or lost entries at some time" in told(settings)
