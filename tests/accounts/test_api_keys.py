"""API keys: made once, good until revoked, and for what their scopes say."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.accounts.key_store import MAX_KEYS, KeyText
from api.local.postgres import EmbeddedPostgres
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.keys import acting, bearer, make_key
from tests.support.servers import fresh_database, urls_of
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def other_process(api: Api, start_api: StartApi) -> Api:
    """Another API process of the same installation."""
    known = api.settings
    return start_api(
        database_url=known.database_url,
        database_direct_url=known.database_direct_url,
        worker_database_url=known.worker_database_url,
        log_namespace=known.log_namespace,
    )


def test_a_key_is_shown_once_and_acts_for_its_account(api: Api, ada: httpx.Client) -> None:
    made = make_key(ada, name="nightly import")

    assert made.keys() == {"id", "name", "scopes", "acts_for", "created_at", "key"}
    assert made["key"].startswith(f"vbk_{made['id']}_")
    assert (made["scopes"], made["acts_for"]) == (["read", "write", "chat"], "self")
    shown = {name: value for name, value in made.items() if name != "key"}
    assert ada.get("/auth/keys").json() == {"keys": [shown]}
    with acting(api, made) as program:
        assert program.get("/auth/me").json() == ada.get("/auth/me").json()
        opened = program.post("/api/conversations/", json={"title": "by a program"})
    assert opened.status_code == 202
    assert opened.json()["user_id"] == ada.get("/auth/me").json()["id"]
    secret = made["key"].rpartition("_")[2]
    with api.engine.connect() as owner:
        rows = owner.execute(text("SELECT api_key::text FROM api_key")).scalars().all()
    assert rows
    assert not any(secret in row for row in rows)


def test_a_revoked_key_writes_nothing_and_reads_nothing_in_any_process(
    api: Api, other_process: Api, ada: httpx.Client
) -> None:
    key = make_key(ada)
    with acting(other_process, key) as program:
        opened = program.post("/api/conversations/", json={}).json()["id"]
        path = f"/api/conversations/{opened}/messages"

        revoked = ada.delete(f"/auth/keys/{key['id']}")
        # The other process knows the key, and need not have heard yet: the log refuses the write.
        written = program.post(path, json={"role": "user", "content": "too late"})

        assert (revoked.status_code, written.status_code) == (204, 401)
        eventually(lambda: program.get("/api/conversations/").status_code == 401)
    with acting(api, key) as program:
        eventually(lambda: program.get("/api/conversations/").status_code == 401)
    assert ada.get("/auth/keys").json() == {"keys": []}
    assert ada.delete(f"/auth/keys/{key['id']}").status_code == 404


def test_two_processes_share_a_key_side_by_side(
    api: Api, other_process: Api, ada: httpx.Client
) -> None:
    key = make_key(ada)

    def work(where: Api) -> set[int]:
        with acting(where, key) as program:
            path = f"/api/conversations/{program.post('/api/conversations/').json()['id']}/messages"
            message = {"role": "user", "content": "x"}
            return {program.post(path, json=message).status_code for _ in range(50)}

    with ThreadPoolExecutor(2) as programs:
        assert list(programs.map(work, [api, other_process])) == [{202}, {202}]


CALLS: dict[str, tuple[str, Callable[[httpx.Client], httpx.Response]]] = {
    "list": ("read", lambda by: by.get("/api/conversations/")),
    "export": ("read", lambda by: by.get("/api/export")),
    "open": ("write", lambda by: by.post("/api/conversations/", json={})),
    "chat": ("chat", lambda by: by.post("/api/chat/start")),
    "running turns": ("chat", lambda by: by.get("/api/chat/sess_1000/turns")),
}


@pytest.mark.parametrize("scope", ["read", "write", "chat"])
def test_a_key_does_what_its_scopes_allow_and_no_more(
    api: Api, ada: httpx.Client, scope: str
) -> None:
    with acting(api, make_key(ada, scopes=[scope])) as program:
        answers = {name: call(program) for name, (_, call) in CALLS.items()}
        assert program.get("/auth/me").status_code == 200

    refused = {name for name, answer in answers.items() if answer.status_code == 403}
    assert refused == {name for name, (needed, _) in CALLS.items() if needed != scope}
    for name in refused:
        assert answers[name].json()["detail"].endswith(f"this takes: {CALLS[name][0]}")


def test_a_key_manages_no_account(api: Api, ada: httpx.Client) -> None:
    key = make_key(ada)
    password = {"current_password": PASSWORD, "new_password": PASSWORD}
    with acting(api, key) as program:
        answers = [
            program.post("/auth/keys", json={"name": "another"}),
            program.get("/auth/keys"),
            program.delete(f"/auth/keys/{key['id']}"),
            program.post("/auth/password", json=password),
            program.post("/auth/logout"),
            program.post("/auth/me/delete", json={"password": PASSWORD}),
        ]

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert all("sign in" in answer.json()["detail"] for answer in answers)
    assert ada.get("/auth/me").status_code == 200


def test_what_is_no_key_is_nobody(api: Api, ada: httpx.Client, eve: httpx.Client) -> None:
    key, other = make_key(ada)["key"], make_key(eve)["key"]
    head, _, secret = key.rpartition("_")
    junk = [
        f"{head}_{other.rpartition('_')[2]}",
        f"{other.rpartition('_')[0]}_{secret}",
        f"vbk_{'f' * 24}_{secret}",
        f"{head}_{secret.upper()}",
        f"{key}0",
        key[:-1],
        head,
        "vbk_",
    ]

    for token in junk:
        answer = httpx.get(f"{api.url}/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["detail"]) == (401, "the API key is not valid")


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "nul \0"},
        {"scopes": []},
        {"scopes": ["admin"]},
        {"acts_for": "everybody"},
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(ada: httpx.Client, wanted: dict[str, Any]) -> None:
    assert ada.post("/auth/keys", json={"name": "a test"} | wanted).status_code == 422
    assert ada.get("/auth/keys").json() == {"keys": []}


def test_an_account_has_a_bounded_number_of_keys(api: Api, ada: httpx.Client) -> None:
    owner = ada.get("/auth/me").json()["id"]
    with api.engine.begin() as connection:
        for _ in range(MAX_KEYS - 1):
            key = KeyText.create(owner)
            connection.execute(
                text("INSERT INTO api_key VALUES (:id, :owner, 'x', :hash, '{read}', 'self')"),
                {"id": key.id, "owner": owner, "hash": key.secret_hash},
            )
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(5) as clients, closing(api.engine.connect()) as holder:
        holder.execute(text('SELECT FROM "user" WHERE id = :owner FOR UPDATE'), {"owner": owner})
        answers = [clients.submit(ada.post, "/auth/keys", json={"name": "x"}) for _ in range(5)]
        eventually(lambda: holder.scalar(waiting) == 5)
        holder.commit()

    # All of them at once: one was the last that there is room for.
    assert sorted(one.result().status_code for one in answers) == [201, 409, 409, 409, 409]


@pytest.fixture
def postgres(start_postgres: Callable[[], EmbeddedPostgres]) -> EmbeddedPostgres:
    return start_postgres()


@pytest.fixture
def own(start_api: StartApi, postgres: EmbeddedPostgres) -> Api:
    """An API whose PostgreSQL can be stopped."""
    return start_api(**urls_of(postgres, fresh_database(postgres)))


def test_known_keys_and_subjects_need_no_postgresql(own: Api, postgres: EmbeddedPostgres) -> None:
    with closing(own.person()) as person:
        known, unknown = make_key(person), make_key(person)
        subjects = make_key(person, acts_for="subjects")

        def chats(headers: dict[str, str]) -> int:
            return httpx.post(f"{own.url}/api/chat/start", headers=headers).status_code

        assert chats(bearer(known)) == chats(bearer(subjects, "grace")) == 200
        postgres.stop()
        try:
            assert chats(bearer(known)) == chats(bearer(subjects, "grace")) == 200
            assert chats(bearer(unknown)) == chats(bearer(subjects, "hopper")) == 503
        finally:
            postgres.start()
        eventually(lambda: chats(bearer(unknown)) == chats(bearer(subjects, "hopper")) == 200)
