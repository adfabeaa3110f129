"""Deleting an account, whatever is queued or written meanwhile."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from sqlalchemy import Engine, text

from api.core import async_database, ids
from api.core.audit import audit
from api.core.database import make_engine
from tests.support.api import PASSWORD, Api
from tests.support.api_process import ApiProcess
from tests.support.draining import draining
from tests.support.waiting import eventually
from workers import purge

TABLES = (
    *("message", "message_aside", "message_search", "conversation", "dead_letter", "session"),
    *("api_key", "shared_link", "token_usage"),
)
WORDS = "for-nobody-else-6d1c"


@pytest.fixture
def engine(api: Api) -> Iterator[Engine]:
    made = make_engine(api.settings.migration_database, application_name="test")
    yield made
    made.dispose()


def rows_of(engine: Engine, user_id: int) -> dict[str, int]:
    with engine.begin() as connection:
        counts = {
            table: connection.scalar(
                text(f"SELECT count(*) FROM {table} WHERE user_id = :user"), {"user": user_id}
            )
            for table in TABLES
        }
        accounts = text('SELECT count(*) FROM "user" WHERE id = :user')
        counts["user"] = connection.scalar(accounts, {"user": user_id})
    return {table: count for table, count in counts.items() if count}


def chat(client: httpx.Client, number: int = 3) -> int:
    """Say something in a conversation of one's own; return its id."""
    started = client.post("/api/chat/start").json()
    for turn in range(number):
        client.post(
            f"/api/chat/{started['sessionId']}/message",
            json={"message": f"{WORDS} {turn}"},
            headers={"Idempotency-Key": f"{WORDS}-{turn}"},
        ).raise_for_status()
    return int(started["conversationId"])


def leave(client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    return client.post("/auth/me/delete", json={"password": password})


def keys_of(api: Api, user_id: int, conversation: int) -> list[str]:
    wanted = (
        f"spent:{user_id}",
        f"ext:{user_id}:",
        f"conv:{conversation}",
        f"turns:{conversation}",
        "stream:",
    )
    found = api.log.redis.scan_iter(match=f"{{{api.log.namespace}:*}}:*")
    names = [key.decode().partition("}:")[2] for key in found]
    return [name for name in names if name.startswith(wanted)]


def test_a_deleted_account_leaves_nothing(
    api: Api, ada: httpx.Client, eve: httpx.Client, engine: Engine
) -> None:
    me, other = (client.get("/auth/me").json()["id"] for client in (ada, eve))
    with draining(api.settings):
        mine, others = chat(ada), chat(eve)
        for client, owner in ((ada, mine), (eve, others)):
            client.get(f"/api/conversations/{owner}").raise_for_status()
            named = client.post("/api/conversations/", json={"external_id": WORDS}).json()
            client.get(f"/api/conversations/{named['id']}").raise_for_status()
        eventually(lambda: api.log.status().entries == 0)
        kinds = {"message", "message_search", "conversation", "session", "user"}
        assert rows_of(engine, me).keys() == kinds

        wrong = leave(ada, "not the password")
        answer = leave(ada)

    assert wrong.status_code == 401
    assert answer.status_code == 204
    assert rows_of(engine, me) == {}
    assert rows_of(engine, other)["message"] == 6
    assert not [key for key in keys_of(api, me, mine) if "stream:" not in key]
    assert ada.post("/api/conversations/", json={}).status_code == 401
    eventually(lambda: ada.get("/api/conversations/").status_code == 401)
    assert ada.get("/auth/me").status_code == 401
    assert all(one.balanced for one in audit(api.log, engine))


def test_entries_still_in_the_log_restore_nothing(
    api: Api, ada: httpx.Client, engine: Engine
) -> None:
    me = ada.get("/auth/me").json()["id"]
    mine = chat(ada)

    assert leave(ada).status_code == 204
    assert api.log.status().entries > 0
    with draining(api.settings):
        eventually(lambda: api.log.status().entries == 0)

    assert rows_of(engine, me) == {}
    assert all(one.balanced for one in audit(api.log, engine))
    assert not api.log.redis.exists(api.log.key(mine, f"turns:{mine}"))


def test_writes_and_drains_meanwhile_leave_nothing_either(api: Api, engine: Engine) -> None:
    with closing(api.person()) as person, draining(api.settings):
        me = person.get("/auth/me").json()["id"]
        conversation = chat(person, 1)
        left = threading.Event()

        def keep_writing() -> None:
            with closing(api.client()) as writer:
                writer.headers = person.headers
                while not left.is_set():
                    body = {"role": "user", "content": WORDS}
                    writer.post(f"/api/conversations/{conversation}/messages", json=body)
                    writer.post("/api/conversations/", json={"title": WORDS})

        threads = [threading.Thread(target=keep_writing) for _ in range(3)]
        for thread in threads:
            thread.start()
        answer = leave(person)
        left.set()
        for thread in threads:
            thread.join()
        eventually(lambda: api.log.status().entries == 0)

    assert answer.status_code == 204
    assert rows_of(engine, me) == {}
    assert all(one.balanced for one in audit(api.log, engine))


def test_dead_letters_are_deleted_and_the_audit_still_balances(
    api: Api, ada: httpx.Client, engine: Engine
) -> None:
    me = ada.get("/auth/me").json()["id"]
    conversation = ada.post("/api/conversations/", json={}).json()["id"]
    with draining(api.settings):
        eventually(lambda: api.log.status().entries == 0)
    partition = ids.partition_of(conversation)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO dead_letter (entry_id, partition, op, user_id, conversation_id,"
                " reason, payload, entry_created_at) VALUES (7, :p, 'add', :u, :c, 'refused',"
                " 'text', now());"
                " UPDATE log_partition SET applied = applied - 1, dead = dead + 1 WHERE id = :p"
            ),
            {"p": partition, "u": me, "c": conversation},
        )

    assert leave(ada).status_code == 204

    assert rows_of(engine, me) == {}
    assert all(one.balanced for one in audit(api.log, engine))


def test_a_deletion_that_fails_half_way_changes_nothing_and_can_be_repeated(
    api: Api, ada: httpx.Client, engine: Engine
) -> None:
    chat(ada, 1)
    with engine.connect() as operator:
        operator.execute(text("SELECT FROM log_partition WHERE id = 15 FOR UPDATE"))
        failed = leave(ada)
        operator.rollback()

    assert failed.status_code == 503
    assert ada.post("/api/conversations/", json={}).status_code == 202
    assert leave(ada).status_code == 204


@pytest.fixture
def dies_after_the_commit(api: Api) -> Iterator[ApiProcess]:
    """Another API process of the same stack, killed as soon as PostgreSQL has deleted."""
    known = api.settings
    process = ApiProcess(
        {
            "DATABASE_URL": known.database_url or "",
            "REDIS_URL": known.redis,
            "LOG_NAMESPACE": known.log_namespace,
            "SECRET_KEY": known.signing_key,
            "VERBATIM_FAILPOINTS": "deletion.after_commit=kill",
        }
    )
    process.start()
    yield process
    process.terminate()


def test_a_process_that_dies_after_the_commit_leaves_no_account(
    api: Api, ada: httpx.Client, engine: Engine, dies_after_the_commit: ApiProcess
) -> None:
    me = ada.get("/auth/me").json()["id"]
    mine = chat(ada, 1)
    with (
        httpx.Client(base_url=dies_after_the_commit.url, headers=ada.headers, timeout=60) as client,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        leave(client)

    assert rows_of(engine, me) == {}
    # Writes are refused for a minute; after it, the drain discards them.
    body = {"role": "user", "content": WORDS}
    assert ada.post(f"/api/conversations/{mine}/messages", json=body).status_code == 401
    api.log.run("gone", me, 0)
    assert ada.post(f"/api/conversations/{mine}/messages", json=body).status_code == 202
    with draining(api.settings):
        eventually(lambda: api.log.status().entries == 0)
    assert rows_of(engine, me) == {}
    assert all(one.balanced for one in audit(api.log, engine))
    assert leave(ada).status_code == 401


@pytest.fixture
def deleting_is_slow(engine: Engine) -> Iterator[None]:
    """PostgreSQL takes 0.3 s to delete a message."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_sleep(0.3); RETURN old; END';"
                "CREATE TRIGGER slow BEFORE DELETE ON message"
                " FOR EACH ROW EXECUTE FUNCTION take_long()"
            )
        )
    yield
    with engine.begin() as connection:
        connection.execute(text("DROP FUNCTION take_long CASCADE"))


@pytest.mark.parametrize("purging", [False, True], ids=["whole", "being purged"])
@pytest.mark.usefixtures("deleting_is_slow")
def test_nobody_waits_for_a_large_account_to_go(
    api: Api,
    ada: httpx.Client,
    eve: httpx.Client,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    purging: bool,
) -> None:
    monkeypatch.setattr(async_database, "TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(purge, "PURGE_CHUNK", 1)
    with draining(api.settings):
        conversation = chat(ada, 5)
        me = ada.get("/auth/me").json()["id"]
        eventually(lambda: rows_of(engine, me).get("message") == 10)
        if purging:
            ada.delete(f"/api/conversations/{conversation}").raise_for_status()
            eventually(lambda: rows_of(engine, me).get("message", 0) < 10)
        with ThreadPoolExecutor(1) as leaving:
            gone = leaving.submit(leave, ada)
            answers = []
            while not gone.done():
                said = eve.post("/api/conversations/", json={}).json()["id"]
                answers.append(eve.get(f"/api/conversations/{said}").status_code)

    assert gone.result().status_code == 204
    assert len(answers) > 10
    assert set(answers) == {200}


def test_the_name_can_be_registered_again(
    api: Api, ada: httpx.Client, anybody: httpx.Client
) -> None:
    account = ada.get("/auth/me").json()
    leave(ada)

    again = anybody.post(
        "/auth/register",
        json={"username": account["username"], "email": account["email"], "password": PASSWORD},
    )

    assert again.status_code == 201
    assert again.json()["id"] != account["id"]
