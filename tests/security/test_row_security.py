"""Layer (c): PostgreSQL shows a role the rows it is for, whatever it is asked."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import connection as DbapiConnection  # noqa: N812 - a class, badly named
from sqlalchemy import Engine, text

from api.accounts.repositories import UserRepository
from api.core.database import Viewer, make_engine, reading
from api.core.errors import UnsafeRoleError
from api.core.roles import Role
from api.core.settings import postgres_url
from api.local.postgres import EmbeddedPostgres
from api.reads.conversations import ConversationRepository
from api.reads.messages import MessageRepository
from tests.security.layers import forget_the_owner
from tests.support.pages import chatted, lined, listed, paged
from tests.support.rows import add_conversation, add_messages, add_user, statements
from tests.support.servers import urls_of

ADA_OWNS, EVE_OWNS = 32, 48
CHAT = ("conversation", "message", "message_aside", "message_search", "dead_letter")
ADD_SUBJECT = 'INSERT INTO "user" (username, email, password_hash, owner_id)'


@pytest.fixture
def urls(postgres_server: EmbeddedPostgres, database_url: str) -> dict[str, str]:
    return urls_of(postgres_server, database_url)


@pytest.fixture
def people(engine: Engine) -> tuple[int, int]:
    """Two users with a conversation, two messages, one of them aside, and a dead letter each."""
    ada, eve = add_user(engine, "ada"), add_user(engine, "eve")
    for owner, conversation in ((ada, ADA_OWNS), (eve, EVE_OWNS)):
        add_conversation(engine, owner, conversation, title="private")
        add_messages(engine, owner, conversation, ["private"])
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO dead_letter (entry_id, partition, op, user_id, conversation_id,"
                    " reason, payload, entry_created_at) VALUES (:c, 0, 'add', :u, :c, 'refused',"
                    " 'private', now())"
                ),
                {"c": conversation, "u": owner},
            )
            connection.execute(
                text(
                    "INSERT INTO message_aside (id, conversation_id, user_id, position, role,"
                    " content, status, created_at, branch_id, aside_at) VALUES (:c + 8, :c, :u, 2,"
                    " 'user', 'private', 'stored', now(), :c, now())"
                ),
                {"c": conversation, "u": owner},
            )
            connection.execute(
                text(
                    "INSERT INTO message_search (conversation_id, position, user_id, created_at,"
                    " words) VALUES (:c, 1, :u, now(), 'private')"
                ),
                {"c": conversation, "u": owner},
            )
    return ada, eve


@pytest.fixture
def api_engine(urls: dict[str, str]) -> Iterator[Engine]:
    made = make_engine(
        postgres_url(urls["database_url"]), application_name="test", role="verbatim_api"
    )
    yield made
    made.dispose()


def connect(url: str) -> DbapiConnection:
    return psycopg2.connect(url)


def ask(connection: DbapiConnection, statement: str, *facts: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, facts)
        return cursor.fetchall() if cursor.description else [cursor.rowcount]


@pytest.mark.parametrize("table", CHAT)
def test_the_api_sees_the_rows_of_one_user_and_of_nobody_without_one(
    urls: dict[str, str], people: tuple[int, int], table: str
) -> None:
    with closing(connect(urls["database_url"])) as connection:
        unset = ask(connection, f"SELECT user_id FROM {table}")
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(people[0]))
        seen = ask(connection, f"SELECT user_id FROM {table}")
        connection.commit()
        # The setting is '' now, not NULL.
        afterwards = ask(connection, f"SELECT user_id FROM {table}")

    assert unset == afterwards == []
    assert seen == [(people[0],)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO conversation SELECT 64, 1, 'mine now', 0, now(), now()",
        "UPDATE conversation SET title = 'mine now'",
        "UPDATE message SET content = 'mine now'",
        "UPDATE message_aside SET content = 'mine now'",
        "UPDATE message_search SET words = 'mine now'",
        "UPDATE dead_letter SET payload = ''",
        "INSERT INTO message SELECT 7, 48, 2, 9, 'user', 'x', 'stored', now()",
        "UPDATE log_partition SET last_id = 7",
        "UPDATE \"user\" SET email = 'root@example.com'",
        "TRUNCATE message",
        "ALTER TABLE message DISABLE ROW LEVEL SECURITY",
        "SET ROLE verbatim",
        "SET ROLE verbatim_worker",
    ],
)
def test_the_api_writes_no_chat_at_all(
    urls: dict[str, str], people: tuple[int, int], statement: str
) -> None:
    with closing(connect(urls["database_url"])) as connection:
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(people[0]))
        with pytest.raises(InsufficientPrivilege):
            ask(connection, statement)


@pytest.mark.parametrize("table", [*CHAT, '"user"'])
def test_the_api_deletes_nothing_of_anybody_else(
    urls: dict[str, str], engine: Engine, people: tuple[int, int], table: str
) -> None:
    with closing(connect(urls["database_url"])) as connection:
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(people[0]))
        for one in ("message", "message_aside", "message_search", "conversation", "dead_letter"):
            ask(connection, f"DELETE FROM {one}")
        ask(connection, f"DELETE FROM {table}")
        connection.commit()

    column = "id" if table == '"user"' else "user_id"
    with engine.begin() as owner:
        left = owner.execute(text(f"SELECT {column} FROM {table}")).scalars().all()
    assert people[1] in left


def test_an_account_is_seen_by_who_signs_in_under_its_name_only(
    api_engine: Engine, people: tuple[int, int]
) -> None:
    ada, eve = people
    with reading(api_engine, Viewer(signing_in="ADA")) as session:
        known = UserRepository(session).by_name("Ada")
        others = [UserRepository(session).by_name("eve"), UserRepository(session).by_id(eve)]
    with reading(api_engine, Viewer(eve)) as session:
        mine, not_mine = (UserRepository(session).by_id(one) for one in (eve, ada))
    with reading(api_engine) as session:
        nobody = UserRepository(session).by_id(ada)

    assert known is not None
    assert known.id == ada
    assert others == [None, None]
    assert mine is not None
    assert not_mine is None
    assert nobody is None


def test_the_api_sees_the_keys_and_subjects_of_one_account(
    urls: dict[str, str], engine: Engine, people: tuple[int, int]
) -> None:
    ada, eve = people
    with engine.begin() as owner:
        for one in people:
            key = {"id": f"{one:024x}", "owner": one}
            owner.execute(
                text("INSERT INTO api_key VALUES (:id, :owner, 'x', '', '{read}', 'self')"), key
            )
            owner.execute(text(f"{ADD_SUBJECT} VALUES ('sub:' || :owner, :id, '', :owner)"), key)

    with closing(connect(urls["database_url"])) as connection:
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(ada))
        keys = ask(connection, "SELECT user_id FROM api_key")
        accounts = ask(connection, 'SELECT username FROM "user" ORDER BY id')
        ended = ask(connection, "DELETE FROM api_key WHERE user_id = %s", eve)
        connection.rollback()
        for statement in (
            "INSERT INTO api_key VALUES ('1', %s, 'x', '', '{read}', 'self')",
            f"{ADD_SUBJECT} VALUES ('sub:new', 'x', '', %s)",
        ):
            ask(connection, "SELECT set_config('app.user_id', %s, true)", str(ada))
            ask(connection, "SELECT set_config('app.sign_in', 'sub:new', true)")
            with pytest.raises(InsufficientPrivilege):
                ask(connection, statement, eve)
            connection.rollback()

    assert keys == [(ada,)]
    assert accounts == [("ada",), (f"sub:{ada}",)]
    assert ended == [0]


def test_whoever_has_a_link_sees_its_row_and_nothing_else(
    urls: dict[str, str], engine: Engine, people: tuple[int, int]
) -> None:
    ada, eve = people
    rows = [
        ("public", ada, ADA_OWNS, "public", "1 day"),
        ("for users", ada, ADA_OWNS, "signed_in", "1 day"),
        ("expired", ada, ADA_OWNS, "public", "-1 day"),
        ("eve's", eve, EVE_OWNS, "public", "1 day"),
    ]
    with engine.begin() as owner:
        for name, user, conversation, audience, lasts in rows:
            owner.execute(
                text(
                    "INSERT INTO shared_link VALUES (:name, sha256(cast(:name AS bytea)), :user,"
                    " :conversation, NULL, '[]', 0, :audience, now(),"
                    " now() + cast(:lasts AS interval))"
                ),
                {
                    "name": name,
                    "user": user,
                    "conversation": conversation,
                    "audience": audience,
                    "lasts": lasts,
                },
            )

    def seen(link: str, reader: str = "") -> list[str]:
        with closing(connect(urls["database_url"])) as connection:
            named = hashlib.sha256(link.encode()).hexdigest()
            ask(connection, "SELECT set_config('app.link', %s, true)", named)
            ask(connection, "SELECT set_config('app.user_id', %s, true)", reader)
            found = [name for (name,) in ask(connection, "SELECT id FROM shared_link ORDER BY id")]
            others = [ask(connection, f"SELECT user_id FROM {table}") for table in CHAT]
            accounts = ask(connection, 'SELECT id FROM "user"')
            assert ask(connection, "DELETE FROM shared_link WHERE user_id = %s", ada) == [0]
            with pytest.raises(InsufficientPrivilege):
                ask(connection, "UPDATE shared_link SET expires_at = 'infinity'")
        mine = [(int(reader),)] if reader else []
        assert others == [mine] * len(CHAT)
        assert accounts == mine
        return found

    assert seen("public") == ["public"]
    assert seen("for users") == seen("expired") == seen("another") == seen("") == []
    assert seen("for users", str(eve)) == ["eve's", "for users"]
    assert seen("expired", str(eve)) == ["eve's"]


def test_the_worker_sees_all_chat_and_of_accounts_only_that_they_exist(
    urls: dict[str, str], people: tuple[int, int]
) -> None:
    with closing(connect(urls["worker_database_url"])) as connection:
        for table in CHAT:
            owners = ask(connection, f"SELECT user_id FROM {table} ORDER BY user_id")
            assert owners == [(one,) for one in people]
        assert len(ask(connection, 'SELECT id FROM "user"')) == 2
        for statement in (
            'SELECT username FROM "user"',
            'SELECT password_hash FROM "user"',
            'UPDATE "user" SET password_hash = DEFAULT',
            'DELETE FROM "user"',
            "SELECT id FROM api_key",
            "SELECT messages FROM shared_link",
            "DELETE FROM conversation",
        ):
            connection.rollback()
            with pytest.raises(InsufficientPrivilege):
                ask(connection, statement)


def test_the_api_reads_what_models_took_for_one_user_and_writes_none_of_it(
    urls: dict[str, str], engine: Engine, people: tuple[int, int]
) -> None:
    ada, eve = people
    with engine.begin() as owner:
        for one in people:
            row = text("INSERT INTO token_usage VALUES (:user, now(), 1, 1, 1, 1)")
            owner.execute(row, {"user": one})

    with closing(connect(urls["database_url"])) as connection:
        assert ask(connection, "SELECT user_id FROM token_usage") == []
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(ada))
        assert ask(connection, "SELECT user_id FROM token_usage") == [(ada,)]
        with pytest.raises(InsufficientPrivilege):
            ask(connection, "UPDATE token_usage SET answers = 0")
    with closing(connect(urls["worker_database_url"])) as connection:
        assert len(ask(connection, "SELECT user_id FROM token_usage")) == 2
        with pytest.raises(InsufficientPrivilege):
            ask(connection, "DELETE FROM token_usage WHERE user_id = %s", eve)


def test_the_worker_reads_no_files(
    urls: dict[str, str], engine: Engine, people: tuple[int, int]
) -> None:
    with engine.begin() as owner:
        for one in people:
            file = text(
                "INSERT INTO asset VALUES (:id, :user, 'x', 'text/plain', 7, now(), 'private')"
            )
            owner.execute(file, {"id": f"asset_{one}", "user": one})
            use = text("INSERT INTO asset_use VALUES (:id, 1, 1, :user)")
            owner.execute(use, {"id": f"asset_{one}", "user": one})

    with closing(connect(urls["worker_database_url"])) as connection:
        assert len(ask(connection, "SELECT id, user_id FROM asset")) == 2
        for statement in (
            "SELECT data FROM asset",
            "SELECT name FROM asset",
            "UPDATE asset SET user_id = 1",
        ):
            connection.rollback()
            with pytest.raises(InsufficientPrivilege):
                ask(connection, statement)
    with closing(connect(urls["database_url"])) as connection:
        for table in ("asset", "asset_use"):
            assert ask(connection, f"SELECT user_id FROM {table}") == []
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(people[0]))
        for table in ("asset", "asset_use"):
            assert ask(connection, f"SELECT user_id FROM {table}") == [(people[0],)]
        assert ask(connection, "DELETE FROM asset WHERE user_id = %s", people[1]) == [0]
        with pytest.raises(InsufficientPrivilege):
            ask(connection, "INSERT INTO asset_use VALUES ('a', 1, 1, %s)", people[0])


def test_postgresql_notes_what_is_left_in_the_bucket_whoever_deletes(
    urls: dict[str, str], engine: Engine, people: tuple[int, int]
) -> None:
    ada, eve = people
    grace = add_user(engine, "grace")
    files = {"by the api": ada, "by a worker": ada, "with the account": grace, "hers": eve}
    with engine.begin() as owner:
        file = "INSERT INTO asset VALUES (:id, :user, 'x', 'text/plain', 7, now(), :data)"
        for name, user in files.items():
            owner.execute(text(file), {"id": name, "user": user, "data": None})
        owner.execute(text(file), {"id": "in postgresql", "user": ada, "data": b"private"})

    with closing(connect(urls["database_url"])) as connection:
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(ada))
        deleted = "DELETE FROM asset WHERE id IN ('by the api', 'in postgresql', 'hers')"
        assert ask(connection, deleted) == [2]
        assert ask(connection, "SELECT id FROM asset_leftover") == [("by the api",)]
        connection.commit()
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(eve))
        assert ask(connection, "SELECT id FROM asset_leftover") == []
        with pytest.raises(InsufficientPrivilege):
            ask(connection, "INSERT INTO asset_leftover VALUES ('hers', %s)", ada)
        connection.rollback()
        # The account takes its files along under the owner's rights, not into the caller's table.
        ask(connection, "CREATE TEMP TABLE asset_leftover (id text, user_id bigint)")
        ask(connection, "SELECT set_config('app.user_id', %s, true)", str(grace))
        assert ask(connection, 'DELETE FROM "user" WHERE id = %s', grace) == [1]
        connection.commit()
    with closing(connect(urls["worker_database_url"])) as connection:
        assert ask(connection, "DELETE FROM asset WHERE id = 'by a worker'") == [1]
        left = ask(connection, "SELECT id FROM asset_leftover ORDER BY id FOR UPDATE")
        connection.rollback()
        assert left == [("by a worker",), ("by the api",), ("with the account",)]


def leaks(engine: Engine, ada: int) -> list[bool]:
    """Try each way to Eve's words as Ada; return which of them got there."""
    with reading(engine, Viewer(ada)) as session:
        conversations, messages = ConversationRepository(session), MessageRepository(session)
        found = [
            conversations.get(ada, EVE_OWNS),
            conversations.state(ada, EVE_OWNS),
            messages.get(ada, EVE_OWNS, EVE_OWNS + 16),
            paged(session, ada, EVE_OWNS, limit=9),
            paged(session, ada, EVE_OWNS, limit=9, is_plain=False),
            lined(session, ada, EVE_OWNS, limit=9),
            chatted(session, ada, EVE_OWNS, limit=9),
            next(iter(messages.recent_turns(ada, EVE_OWNS, limit=9, most_bytes=9)[0]), None),
            *(c for c in listed(session, ada, limit=9).rows if c.user_id != ada),
        ]
    return [one is not None for one in found]


def test_queries_that_forget_the_owner_still_find_nothing_of_others(
    api_engine: Engine, people: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_the_owner(monkeypatch)

    assert not any(leaks(api_engine, people[0]))


def test_with_both_layers_of_reads_off_the_same_test_is_red(
    engine: Engine, people: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_the_owner(monkeypatch)

    # The owner of the tables: (c) is off.
    assert leaks(engine, people[0]) == [True] * 9


def refusal(url: str, role: Role) -> str:
    engine = make_engine(postgres_url(url), application_name="test", role=role)
    with pytest.raises(UnsafeRoleError) as refused:
        engine.connect()
    engine.dispose()
    return str(refused.value)


@pytest.mark.parametrize("role", ["verbatim_api", "verbatim_worker"])
def test_a_role_that_bypasses_row_security_is_refused(
    postgres_server: EmbeddedPostgres, urls: dict[str, str], database_url: str, role: Role
) -> None:
    name = postgres_url(database_url).database
    superuser = postgres_url(postgres_server.admin_url).set(database=name)

    assert "bypasses row-level security" in refusal(
        superuser.render_as_string(hide_password=False), role
    )
    assert "owns the tables" in refusal(database_url, role)


def test_a_role_with_the_rights_of_another_is_refused(urls: dict[str, str]) -> None:
    assert "has the worker's rights" in refusal(urls["worker_database_url"], "verbatim_api")
    assert "is not a member of" in refusal(urls["database_url"], "verbatim_worker")


def test_a_table_whose_row_security_was_switched_off_is_noticed(
    urls: dict[str, str], engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE message NO FORCE ROW LEVEL SECURITY"))

    assert "was switched off" in refusal(urls["database_url"], "verbatim_api")


@pytest.mark.parametrize(
    "command",
    [
        ["uvicorn", "api.main:create_app", "--factory", "--port", "0"],
        ["celery", "--quiet", "--app=workers.app", "worker", "--pool=solo"],
    ],
    ids=["api", "worker"],
)
def test_a_process_does_not_start_under_a_role_that_sees_everything(
    command: list[str], database_url: str, redis_url: str, namespace: str
) -> None:
    started = subprocess.run(
        [sys.executable, "-m", *command],
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "LOG_NAMESPACE": namespace,
            "SECRET_KEY": "k" * 32,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert started.returncode != 0
    assert "owns the tables" in started.stderr
    assert "ROW_SECURITY=unchecked" in started.stderr


def test_telling_who_it_is_costs_no_round_trip_of_its_own(
    api_engine: Engine, people: tuple[int, int]
) -> None:
    ada, _ = people

    with reading(api_engine, Viewer(ada)) as session, statements(api_engine) as sent:
        found = ConversationRepository(session).get(ada, ADA_OWNS)
        told = session.connection().scalar(text("SELECT current_setting('app.user_id')"))

    assert found is not None
    assert told == str(ada)
    assert len(sent) == 2
