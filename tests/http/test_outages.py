"""PostgreSQL or Redis is gone: what still works, what says 503, and that it heals."""

from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.draining import draining
from tests.support.model_server import ModelServer, model, running
from tests.support.servers import demote, fresh_database, promote, urls_of
from tests.support.waiting import eventually

__all__ = ["model", "running"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgres(start_postgres: Callable[[], EmbeddedPostgres]) -> EmbeddedPostgres:
    return start_postgres()


@pytest.fixture(scope="module")
def redis(start_redis: Callable[[], EmbeddedRedis]) -> EmbeddedRedis:
    return start_redis()


@pytest.fixture(scope="module")
def api(start_api: StartApi, postgres: EmbeddedPostgres, redis: EmbeddedRedis) -> Api:
    urls = urls_of(postgres, fresh_database(postgres))
    # Nobody is behind its gateway.
    gateway = {"gateway": "on", "openai_base_url": "http://127.0.0.1:1/v1"}
    return start_api(**urls, redis_url=redis.url, **gateway)


@pytest.fixture
def ada(api: Api) -> Iterator[httpx.Client]:
    """Somebody who signed in while everything was there."""
    api.engine.dispose()  # PostgreSQL may have been started anew since its connections were opened
    with closing(api.person()) as client:
        yield client


def is_ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.elapsed.total_seconds() < 12


def test_chat_goes_on_with_context_while_postgres_is_down(
    api: Api, postgres: EmbeddedPostgres, ada: httpx.Client
) -> None:
    session = ada.post("/api/chat/start").json()["sessionId"]
    path = f"/api/chat/{session}"
    first = ada.post(f"{path}/message", json={"message": "Buy milk"}).json()

    postgres.stop()
    try:
        answer = ada.post(
            f"{path}/message",
            json={"message": "What did I say first?"},
            headers={"Idempotency-Key": "k"},
        )
        repeated = ada.post(
            f"{path}/message",
            json={"message": "What did I say first?"},
            headers={"Idempotency-Key": "k"},
        )
        new_session = ada.post("/api/chat/start")
        ready = ada.get("/readyz")
        reads = [
            ada.get(f"{path}/history"),
            ada.get("/api/conversations/"),
            ada.get("/api/conversations/7"),
            ada.get("/auth/me"),
            ada.post("/auth/login", json={"username": "x", "password": "y"}),
        ]
        unknown = ada.post("/api/chat/sess_ffff/message", json={"message": "x"})
    finally:
        postgres.start()

    assert "“Buy milk”" in answer.json()["response"]
    assert repeated.json() == answer.json()
    assert new_session.status_code == 200
    assert ready.json()["status"] == "ready"
    assert ready.json()["database"] == "down"
    for read in [*reads, unknown]:
        assert_unavailable(read)

    with draining(api.settings):
        eventually(lambda: ada.get(f"{path}/history").status_code == 200)
        history = ada.get(f"{path}/history", params={"read_after": answer.json()["replyId"]}).json()
    assert history["totalCount"] == 4
    assert history["messages"][0]["id"] == first["messageId"]


def test_the_gateway_begins_conversations_and_continues_none_while_postgres_is_down(
    start_api: StartApi,
    postgres: EmbeddedPostgres,
    redis: EmbeddedRedis,
    model: ModelServer,
    running: ModelServer,
) -> None:
    api = start_api(
        **urls_of(postgres, fresh_database(postgres)),
        redis_url=redis.url,
        gateway="on",
        openai_base_url=running.url,
    )
    first = [{"role": "user", "content": "Buy milk"}]
    second = [
        {"role": "assistant", "content": "Certainly."},
        {"role": "user", "content": "And tea"},
    ]
    with closing(api.person()) as ada:

        def ask(messages: list[dict[str, str]], name: str | None = None) -> httpx.Response:
            headers = {} if name is None else {"Verbatim-Conversation": name}
            body = {"model": "m", "messages": messages}
            return ada.post("/v1/chat/completions", json=body, headers=headers)

        postgres.stop()
        try:
            refused = [ask(first, "shopping"), ask(first + second)]
            asked = len(model.requests)
            begun = ask(first)
        finally:
            postgres.start()

        for answer in refused:
            assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "true")
            assert int(answer.headers["Retry-After"]) >= 1
        assert asked == 0
        assert begun.status_code == 200, begun.text
        eventually(lambda: is_ready(ada))
        with draining(api.settings):
            items = f"/v1/conversations/{begun.headers['Verbatim-Conversation']}/items"
            eventually(lambda: len(ada.get(items).json()["data"]) == 2)


def test_while_postgres_is_down_no_file_comes_in_and_those_that_did_can_be_sent(
    api: Api, postgres: EmbeddedPostgres, ada: httpx.Client
) -> None:
    session = ada.post("/api/chat/start").json()["sessionId"]
    path = f"/api/conversations/{int(session.removeprefix('sess_'), 16)}/messages"
    answers = []

    def is_uploaded() -> bool:
        # The tests before have started PostgreSQL anew: it may take a moment to be found again.
        answers.append(ada.post("/api/assets", params={"name": "x.txt"}, content=b"inside"))
        return answers[-1].status_code == 201

    eventually(is_uploaded)
    for answer in answers[:-1]:
        assert_unavailable(answer)
    made = answers[-1].json()
    attachments = [{name: made[name] for name in ("id", "name", "type", "size")}]
    told = {"message": "read it", "attachments": attachments}
    key = {"Idempotency-Key": "with a file"}

    postgres.stop()
    try:
        uploads = [ada.post("/api/assets", content=b"x"), ada.get(f"/api/assets/{made['id']}")]
        added = ada.post(
            path, json={"role": "user", "content": "x", "extra": {"attachments": attachments}}
        )
        asked = ada.post(f"/api/chat/{session}/message", json=told, headers=key)
        later = ada.post(f"/api/chat/{session}/message", json={"message": "go on"})
    finally:
        postgres.start()

    for answer in [*uploads, asked]:
        assert_unavailable(answer)
    assert (added.status_code, later.status_code) == (202, 200)
    with draining(api.settings):
        eventually(lambda: ada.get("/api/assets").status_code == 200)
        answered = ada.post(f"/api/chat/{session}/message", json=told, headers=key).json()
        read = ada.get(path, params={"read_after": answered["replyId"]}).json()["messages"]
        assert [one["id"] for one in ada.get("/api/assets").json()["assets"]] == [made["id"]]

    assert "x.txt (text/plain, 6 bytes)" in answered["response"]
    assert [one["content"] for one in read[:2]] == ["x", "read it"]
    assert read[1]["extra"] == {"attachments": attachments}


def test_writes_are_refused_and_reads_go_on_while_redis_is_down(
    api: Api, redis: EmbeddedRedis, ada: httpx.Client
) -> None:
    with draining(api.settings):
        conversation = ada.post("/api/conversations/", json={}).json()["id"]
        path = f"/api/conversations/{conversation}"
        ada.get(path).raise_for_status()

    redis.stop()
    try:
        writes = [
            ada.post(f"{path}/messages", json={"role": "user", "content": "x"}),
            ada.post("/api/conversations/", json={}),
            ada.post("/api/chat/start"),
            ada.post(f"/api/chat/sess_{conversation:x}/message", json={"message": "x"}),
            ada.patch(path, json={"title": "x"}),
            ada.delete(path),
        ]
        eventually(lambda: not is_ready(ada))
        ready, alive, metrics = (ada.get(p) for p in ("/readyz", "/livez", "/metrics"))
        reads = [ada.get(path), ada.get("/auth/me")]
    finally:
        redis.start()

    for write in writes:
        assert_unavailable(write)
    assert_unavailable(ready)
    assert alive.status_code == 200
    assert "verbatim_accepted_total" in metrics.text
    assert "verbatim_backlog_entries" not in metrics.text
    assert [read.status_code for read in reads] == [200, 200]
    eventually(lambda: is_ready(ada))
    added = ada.post(f"{path}/messages", json={"role": "user", "content": "x"})
    assert added.status_code == 202
    with draining(api.settings):
        read = ada.get(f"{path}/messages", params={"read_after": added.json()["id"]})
    assert read.json()["total"] == 1


def test_responses_say_what_is_away(
    api: Api, postgres: EmbeddedPostgres, redis: EmbeddedRedis, ada: httpx.Client
) -> None:
    asked = {"input": "Hi", "background": True}
    with draining(api.settings):
        made = ada.post("/v1/responses", json=asked).json()
        path = f"/v1/responses/{made['id']}"
        eventually(lambda: ada.get(path).json().get("status") == "failed")
    postgres.stop()
    try:
        new = ada.post("/v1/responses", json={"input": "Hi"})
        going_on = {"input": "Hi", "conversation": made["conversation"]}
        refused = [
            *(ada.get(path), ada.get(path, params={"stream": True})),
            *(ada.get(f"{path}/input_items"), ada.post(f"{path}/cancel"), ada.delete(path)),
            ada.post("/v1/responses", json=going_on),
        ]
    finally:
        postgres.start()
    redis.stop()
    try:
        refused += [ada.post("/v1/responses", json=asked), ada.get(path)]
    finally:
        redis.start()
    eventually(lambda: is_ready(ada))

    # It is stored, and was asked: nobody is there.
    assert (new.status_code, new.json()["error"]["type"]) == (502, "server_error")
    for answer in refused:
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["x-should-retry"] == "true"
    with draining(api.settings):
        eventually(lambda: ada.get("/api/conversations/", params={"q": "Hi"}).json()["total"] == 2)


def test_without_its_broker_an_api_stays_ready_and_says_so(start_api: StartApi) -> None:
    away = start_api(celery_broker_url="redis://127.0.0.1:1/0")
    with closing(away.person()) as person:
        ready, metrics = person.get("/readyz"), person.get("/metrics")
        opened = person.post("/api/conversations/", json={})

    assert (ready.status_code, ready.json()["broker"]) == (200, "down")
    assert "verbatim_broker_up 0.0" in metrics.text
    assert opened.status_code == 202


def test_an_api_starts_and_heals_without_postgres_and_redis(
    start_api: StartApi, postgres: EmbeddedPostgres, redis: EmbeddedRedis
) -> None:
    urls = urls_of(postgres, fresh_database(postgres))
    postgres.stop()
    redis.stop()

    try:
        late = start_api(**urls, redis_url=redis.url)
        with late.client() as client:
            alive, ready = client.get("/livez"), client.get("/readyz")
    finally:
        postgres.start()
        redis.start()

    assert alive.status_code == 200
    assert_unavailable(ready)
    with late.client() as client:
        eventually(lambda: is_ready(client))
    with closing(late.person()) as person:
        assert person.post("/api/conversations/", json={}).status_code == 202


def test_a_read_only_postgres_refuses_what_writes_to_it_until_it_is_promoted(
    api: Api, postgres: EmbeddedPostgres, ada: httpx.Client
) -> None:
    account = {"username": "grace", "email": "grace@example.com", "password": PASSWORD}
    name = ada.get("/auth/me").json()["username"]
    demote(postgres)
    try:
        eventually(lambda: ada.get("/auth/me").status_code == 200)
        writes = [
            ada.post("/auth/register", json=account),
            ada.post("/auth/login", json={"username": name, "password": PASSWORD}),
            ada.post("/auth/session", json={"username": name, "password": PASSWORD}),
        ]
        chat = ada.post("/api/chat/start")
        read = ada.get("/api/conversations/")
        # Not while an answer of the log is late, as it may be on a machine that does much besides.
        database = eventually(lambda: ada.get("/readyz").json().get("database"))
    finally:
        promote(postgres)

    for write in writes:
        assert_unavailable(write)
    assert [chat.status_code, read.status_code] == [200, 200]
    assert database == "read_only"
    assert ada.post("/auth/register", json=account).status_code == 201
    assert ada.get("/readyz").json()["database"] == "up"
