import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from alembic import command
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import col, select

from api.core import migrations
from api.core.errors import SettingsError
from api.core.models.base import Base
from api.core.models.drain import DeadLetter
from api.core.settings import postgres_url
from api.local.postgres import EmbeddedPostgres
from tests.support.rows import NOON, add_conversation, add_user

MIGRATE = """
import os
from api.core import migrations, settings
migrations.migrate(settings.postgres_url(os.environ["TARGET"]))
"""
TABLES = {
    *("asset", "asset_use", "asset_leftover"),
    "api_key",
    "conversation",
    "database_identity",
    "dead_letter",
    "log_partition",
    "message",
    "message_aside",
    "message_search",
    "session",
    "shared_link",
    "token_usage",
    "user",
}


def tables(connection: Connection) -> set[str]:
    found = connection.scalars(
        text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ).all()
    return set(found) - {"alembic_version"}


def identity(engine: Engine) -> UUID:
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT id FROM database_identity"))
    assert isinstance(found, UUID)
    return found


def anatomy(connection: Connection, schema: str) -> dict[str, set[tuple[Any, ...]]]:
    """Everything PostgreSQL knows of a schema's tables, without the schema's name."""
    queries = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default,"
        " identity_generation FROM information_schema.columns WHERE table_schema = :schema",
        "constraints": "SELECT conrelid::regclass::text, conname,"
        " pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = :schema ::regnamespace",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes"
        " WHERE schemaname = :schema",
        "options": "SELECT relname, reloptions::text FROM pg_class"
        " WHERE relnamespace = :schema ::regnamespace AND relkind = 'r'",
    }
    return {
        name: {
            tuple(v.replace(f"{schema}.", "") if isinstance(v, str) else v for v in row)
            for row in connection.execute(text(query), {"schema": schema})
            if "alembic_version" not in row[0]
        }
        for name, query in queries.items()
    }


def test_the_migrations_go_down_to_nothing_and_up_again(database_url: str, engine: Engine) -> None:
    config = migrations.alembic_config(postgres_url(database_url))
    with engine.connect() as connection:
        assert tables(connection) == TABLES

    command.downgrade(config, "base")
    with engine.connect() as connection:
        assert tables(connection) == set()

    command.upgrade(config, "head")
    with engine.connect() as connection:
        assert tables(connection) == TABLES


def test_settled_letters_of_deleted_conversations_lose_their_text_and_no_others_do(
    database_url: str, engine: Engine
) -> None:
    config = migrations.alembic_config(postgres_url(database_url))
    owner, live, gone = add_user(engine, "ada"), 1, 2
    add_conversation(engine, owner, live)
    add_conversation(engine, owner, gone, deleted_at=NOON)
    letters = {
        "redriven": (owner, gone, NOON, None),
        "discarded": (owner, gone, None, NOON),
        "unsettled": (owner, gone, None, None),
        "alive": (owner, live, NOON, None),
        "another's": (owner + 1, gone, NOON, None),
    }
    command.downgrade(config, "0006")
    with engine.begin() as connection:
        for name, (user, conversation, redriven, discarded) in letters.items():
            connection.execute(
                insert(DeadLetter).values(
                    entry_id=7, partition=0, op="add", user_id=user, conversation_id=conversation,
                    reason="refused", payload=name.encode(), entry_created_at=NOON,
                    redriven_at=redriven, discarded_at=discarded,
                )
            )  # fmt: skip

    command.upgrade(config, "head")

    with engine.connect() as connection:
        kept = connection.scalars(select(DeadLetter.payload).order_by(col(DeadLetter.id))).all()
    assert kept == [b"", b"", b"unsettled", b"alive", b"another's"]


def test_files_in_a_bucket_are_not_lost_by_going_back(database_url: str, engine: Engine) -> None:
    owner = add_user(engine, "ada")
    with engine.begin() as connection:
        file = text("INSERT INTO asset VALUES ('a', :owner, 'x', 'text/plain', 1, now(), NULL)")
        connection.execute(file, {"owner": owner})

    with pytest.raises(IntegrityError, match="contains null values"):
        command.downgrade(migrations.alembic_config(postgres_url(database_url)), "0018")

    with engine.connect() as connection:
        assert tables(connection) == TABLES


def test_alembic_finds_no_difference_between_models_and_migrations(database_url: str) -> None:
    command.check(migrations.alembic_config(postgres_url(database_url)))


def test_the_migrations_build_all_that_the_models_declare_checks_and_fillfactor_included(
    engine: Engine,
) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE SCHEMA declared"))
        Base.metadata.create_all(
            connection.execution_options(schema_translate_map={None: "declared"})
        )

        declared, migrated = anatomy(connection, "declared"), anatomy(connection, "public")

    assert migrated == declared
    assert ("log_partition", "{fillfactor=10}") in migrated["options"]


def test_sixteen_partitions_start_at_zero(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM log_partition ORDER BY id")).all()

    assert [tuple(row) for row in rows] == [(number, 0, 0, 0, 0) for number in range(16)]


def test_every_migrated_database_has_an_identity_of_its_own(
    database_url: str, engine: Engine
) -> None:
    config = migrations.alembic_config(postgres_url(database_url))
    before = identity(engine)

    command.downgrade(config, "base")
    command.upgrade(config, "head")

    assert identity(engine) != before


def test_two_starts_at_once_migrate_once(database_url: str, engine: Engine) -> None:
    url = postgres_url(database_url)
    command.downgrade(migrations.alembic_config(url), "base")
    environment = os.environ | {"TARGET": database_url, "PYTHONPATH": str(Path.cwd())}

    with engine.begin() as holder:
        key = int.from_bytes(b"verbatim", "big")
        holder.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        starts = [
            subprocess.Popen([sys.executable, "-c", MIGRATE], env=environment) for _ in range(2)
        ]
        wait_for_waiters(engine, 2)
        with engine.connect() as connection:
            assert tables(connection) == set()

    assert [start.wait(timeout=100) for start in starts] == [0, 0]
    with engine.connect() as connection:
        assert tables(connection) == TABLES


def wait_for_waiters(engine: Engine, count: int) -> None:
    query = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    deadline = time.monotonic() + 20
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.scalar(query) != count:
            assert time.monotonic() < deadline, "nobody waits for the lock"
            time.sleep(0.02)


def test_migrating_works_from_any_directory_and_twice(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    migrations.migrate(postgres_url(database_url))
    migrations.migrate(postgres_url(database_url))


def test_the_password_is_in_no_log_no_output_and_no_error(
    database_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    url = postgres_url(database_url)
    assert url.password
    wrong = url.set(password="open-sesame-4711")
    config = migrations.alembic_config(url)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.DEBUG)

    command.downgrade(config, "base")
    migrations.migrate(url)
    with pytest.raises(OperationalError) as refused:
        migrations.migrate(wrong)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)

    said = caplog.text + "".join(capfd.readouterr()) + str(refused.value) + repr(refused.value)
    assert "CREATE TABLE" in said
    assert str(url.password) not in said
    assert "open-sesame-4711" not in said


def test_the_sql_can_be_printed_without_any_database(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = postgres_url("postgresql://nobody@127.0.0.1:1/none")

    command.upgrade(migrations.alembic_config(nowhere), "head", sql=True)

    printed = capsys.readouterr().out
    assert "fillfactor = 10" in printed
    assert "generate_series(0, 15)" in printed


def test_the_settings_say_which_database_where_no_caller_does(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = migrations.alembic_config(postgres_url(database_url))
    del config.attributes["url"]
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("DATABASE_DIRECT_URL", database_url)

    command.check(config)


def test_missing_migrations_are_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path)

    with pytest.raises(SettingsError, match="migrations are missing"):
        migrations.migrate(postgres_url("postgresql://nobody@127.0.0.1:1/none"))


@pytest.fixture
def latin_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    with closing(psycopg2.connect(postgres_server.admin_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
            yield (
                make_url(postgres_server.admin_url)
                .set(database="latin")
                .render_as_string(hide_password=False)
            )
            cursor.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_database_that_cannot_hold_unicode_is_refused(latin_database: str) -> None:
    with pytest.raises(SettingsError, match="UTF8"):
        migrations.migrate(postgres_url(latin_database))
