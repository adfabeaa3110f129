from contextlib import suppress

import psycopg2.errors
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, InternalError
from sqlmodel import select

from api.accounts.repositories import UserRepository
from api.core import database, postgres_urls, single_reads
from api.core.errors import OldPostgresError, SettingsError, Unavailable
from api.core.models.accounts import User
from api.core.models.conversations import Conversation
from api.core.prepared_statements import Statement
from api.core.settings import postgres_url
from api.core.single_reads import Query
from tests.support.rows import NOON, add_conversation, add_user

NOWHERE = postgres_url("postgresql://nobody@127.0.0.1:1/none")


def test_a_reading_session_cannot_write(engine: Engine) -> None:
    with (
        pytest.raises(InternalError, match="read-only transaction"),
        database.reading(engine) as session,
    ):
        UserRepository(session).add("alice", "alice@example.org", "")


def test_a_single_read_cannot_write_and_holds_for_one_user(engine: Engine) -> None:
    shown = Query(
        Statement("SELECT current_setting('app.user_id') || ' ✓', %(n)s", types={"n": "int"}),
        {"n": 7},
    )
    written = Query(Statement("UPDATE log_partition SET applied = 1 RETURNING id"), {})

    assert single_reads.ask(engine, 5, shown) == ("5 ✓".encode(), 7)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        single_reads.ask(engine, 5, written)
    with database.writing(engine) as session:
        kept = session.connection().scalar(text("SELECT current_setting('app.user_id', true)"))
    assert not kept


@pytest.mark.parametrize("statement", ["SELECT 1", "SELECT 1 / 0"])
def test_a_single_read_leaves_nothing_behind_in_its_connection(
    database_url: str, statement: str
) -> None:
    engine = database.make_engine(
        postgres_url(database_url), application_name="verbatim-test", pool_size=1
    )
    with suppress(psycopg2.errors.DivisionByZero):
        single_reads.ask(engine, 5, Query(Statement(statement), {}))

    kept = "SELECT current_setting('app.user_id', true), pg_current_xact_id_if_assigned()"
    with engine.connect() as connection:
        assert not any(connection.exec_driver_sql(kept).one())
        # It is in a transaction, as any other connection.
        connection.exec_driver_sql("CREATE TABLE forgotten ()")
        connection.rollback()
        assert not connection.scalar(text("SELECT to_regclass('forgotten')"))
    engine.dispose()


def test_a_single_read_that_is_cut_is_unavailable_and_the_next_one_works(engine: Engine) -> None:
    with engine.connect() as one, engine.connect() as other:
        one.execute(text("SELECT 1"))
        other.execute(text("SELECT 1"))
    cut = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'verbatim-test'"
        " ORDER BY pid = pg_backend_pid()"
    )

    with pytest.raises(Unavailable):
        single_reads.ask(engine, 5, Query(Statement(f"SELECT count(*) FROM ({cut}) AS cut"), {}))

    # All connections were replaced, not only the one that was seen cut.
    for _ in range(2):
        assert single_reads.ask(engine, 5, Query(Statement("SELECT 1"), {})) == (1,)


def test_a_connection_that_was_read_from_can_be_written_to(database_url: str) -> None:
    engine = database.make_engine(
        postgres_url(database_url), application_name="verbatim-test", pool_size=1
    )
    with database.reading(engine) as session:
        reader = session.connection().scalar(text("SELECT pg_backend_pid()"))

    with database.writing(engine) as session:
        writer = session.connection().scalar(text("SELECT pg_backend_pid()"))
        UserRepository(session).add("alice", "alice@example.org", "")
    engine.dispose()

    assert writer == reader


def test_what_was_read_stays_readable_after_the_session(engine: Engine) -> None:
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 32, title="kept")

    with database.reading(engine) as session:
        conversation = session.exec(select(Conversation)).one()

    assert conversation.title == "kept"


def test_what_was_written_is_rolled_back_when_the_work_fails(engine: Engine) -> None:
    def work() -> None:
        with database.writing(engine) as session:
            UserRepository(session).add("alice", "alice@example.org", "")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()

    with database.reading(engine) as session:
        assert session.exec(select(User)).all() == []


def test_a_database_that_cannot_be_reached_is_unavailable_not_empty() -> None:
    engine = database.make_engine(NOWHERE, application_name="verbatim-test")

    with pytest.raises(Unavailable), database.reading(engine):
        pytest.fail("nothing can be read here")
    with pytest.raises(Unavailable), database.writing(engine) as session:
        session.exec(select(User))


def test_a_connection_cut_in_mid_read_is_unavailable_and_the_next_read_works(
    engine: Engine,
) -> None:
    with pytest.raises(Unavailable), database.reading(engine) as session:
        session.connection().execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with database.reading(engine) as session:
        assert session.exec(select(User)).all() == []


def test_idle_connections_that_the_server_ended_are_replaced_unseen(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PING_AFTER_SECONDS", 0.0)
    with database.reading(engine) as session:
        idle = session.connection().scalar(text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(text("SELECT 1"))
    with database.writing(engine) as session:
        session.connection().execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert idle is not None

    for _ in range(3):
        with database.reading(engine) as session, database.reading(engine) as another:
            assert session.exec(select(User)).all() == another.exec(select(User)).all() == []


def test_an_exhausted_pool_is_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POOL_TIMEOUT_SECONDS", 0.05)
    engine = database.make_engine(
        postgres_url(database_url), application_name="verbatim-test", pool_size=1
    )

    with database.reading(engine), pytest.raises(Unavailable), database.reading(engine):
        pytest.fail("there is only one connection")
    engine.dispose()


def test_errors_do_not_quote_text_of_users(engine: Engine) -> None:
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 32, title="said in confidence")

    with pytest.raises(IntegrityError) as refused:
        add_conversation(engine, owner, 32, title="said in confidence")

    assert "said in confidence" not in str(refused.value)


def test_a_connection_is_named_after_its_process(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW application_name")) == "verbatim-test"


def test_times_are_utc_whatever_the_servers_time_zone(database_url: str) -> None:
    engine = database.make_engine(postgres_url(database_url), application_name="verbatim-test")
    name = postgres_url(database_url).database
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE \"{name}\" SET timezone TO 'Asia/Kolkata'"))
    engine.dispose()
    owner = add_user(engine, "alice")
    add_conversation(engine, owner, 32)

    with database.reading(engine) as session:
        assert session.connection().scalar(text("SHOW timezone")) == "Asia/Kolkata"
        conversation = session.exec(select(Conversation)).one()
    engine.dispose()

    assert conversation.created_at == NOON
    assert conversation.created_at.isoformat() == "2026-01-02T12:00:00.123456+00:00"


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    owner = add_user(engine, "alice")

    with pytest.raises(Exception, match="a time needs a time zone"):
        add_conversation(engine, owner, 32, at=NOON.replace(tzinfo=None))


@pytest.mark.parametrize("reads_before", [False, True])
def test_a_read_only_server_is_unavailable_for_writes_and_its_connections_are_replaced(
    database_url: str, reads_before: bool
) -> None:
    engine = database.make_engine(
        postgres_url(database_url), application_name="verbatim-test", pool_size=1
    )
    with database.writing(engine) as session:
        read_only = text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        session.connection().execute(read_only)
    if reads_before:
        with database.reading(engine) as session:
            assert session.exec(select(User)).all() == []

    with pytest.raises(Unavailable, match="read-only"), database.writing(engine) as session:
        UserRepository(session).add("alice", "alice@example.org", "")

    with database.writing(engine) as session:
        UserRepository(session).add("alice", "alice@example.org", "")
    engine.dispose()


def test_a_transaction_that_the_server_ended_for_its_length_is_unavailable(engine: Engine) -> None:
    with engine.connect() as connection:
        if (connection.dialect.server_version_info or ()) < (17,):
            pytest.skip("transaction_timeout came with PostgreSQL 17")

    with pytest.raises(Unavailable), database.reading(engine) as session:
        session.connection().execute(
            text("SET LOCAL transaction_timeout = '10ms'; SELECT pg_sleep(60)")
        )


def test_an_old_server_is_refused_with_what_to_do(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "OLDEST_POSTGRES", 99)

    with pytest.raises(OldPostgresError, match="99 is the oldest"):
        engine.connect()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://one/x", [("one", 5432)]),
        ("postgres://u:p@one:5433,two:5434/x", [("one", 5433), ("two", 5434)]),
        ("postgresql://u:p,q@one,two:5434/x?sslmode=require", [("one", 5432), ("two", 5434)]),
        ("postgresql://u:p%40@[::1]:5433,[fe80::2]/x", [("::1", 5433), ("fe80::2", 5432)]),
        ("postgresql://one,two", [("one", 5432), ("two", 5432)]),
        ("postgresql:///x?host=one,two&port=5433", [("one", 5433), ("two", 5433)]),
        ("postgresql:///x?host=one:5433&host=two:5434", [("one", 5433), ("two", 5434)]),
        ("postgresql:///x?host=/run/postgresql", [("/run/postgresql", 5432)]),
        ("postgresql:///x", [("localhost", 5432)]),
    ],
)
def test_a_url_may_name_several_servers(given: str, expected: list[tuple[str, int]]) -> None:
    url = postgres_url(given)

    assert postgres_urls.servers(url) == expected
    assert url.database in {"x", None}
    assert url.query.get("sslmode") == ("require" if "sslmode" in given else None)


@pytest.mark.parametrize("given", ["postgresql://one:port,two/x", "postgresql://[::1,two/x"])
def test_a_list_of_servers_that_cannot_be_read_is_refused_without_its_password(given: str) -> None:
    secret = given.replace("//", "//user:password@")

    with pytest.raises(SettingsError) as refused:
        postgres_url(secret)

    assert "password" not in str(refused.value)


def test_the_next_server_is_taken_where_the_first_one_is_away(database_url: str) -> None:
    url = database_url.replace("@", "@127.0.0.1:1,")
    engine = database.make_engine(postgres_url(url), application_name="verbatim-test")

    with database.reading(engine) as session:
        assert session.connection().scalar(text("SELECT 1")) == 1
    engine.dispose()
