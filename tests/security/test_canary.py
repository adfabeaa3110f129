"""What people write, and what they are called, is in no output that they did not ask for."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psycopg2
import pytest
from redis import Redis

from api.core.settings import Settings
from api.local.discover import completed
from tests.support.stacks import RunningStack, running_stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

CANARY = "canary5e1f"
ACCOUNT = {
    "username": f"{CANARY}-name",
    "email": f"{CANARY}@example.com",
    "password": f"{CANARY} password",
}
#: The secrets of API keys that were made: no output but the one answer has them either.
SECRETS: list[str] = []
FLOWER_PAGES = ("/", "/tasks", "/workers", "/broker", "/api/tasks", "/api/workers", "/metrics")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    data = tmp_path_factory.mktemp("stack") / "data"
    with running_stack(data, LOG_LEVEL="DEBUG", LOG_FORMAT="json") as started:
        yield started


@pytest.fixture(scope="module")
def answers(stack: RunningStack) -> list[httpx.Response]:
    """Everything that may go right and wrong, with the canary in every place there is."""
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.port}", timeout=60) as client:
        client.post("/auth/register", json=ACCOUNT).raise_for_status()
        login = {"username": ACCOUNT["username"], "password": ACCOUNT["password"]}
        pair = client.post("/auth/login", json=login).json()
        client.headers["Authorization"] = f"Bearer {pair['access_token']}"
        opened = client.post(
            "/api/conversations/",
            json={"title": CANARY},
            headers={"Idempotency-Key": CANARY},
        ).json()["id"]
        path = f"/api/conversations/{opened}"
        last = client.post(f"{path}/messages", json={"role": "user", "content": CANARY}).json()
        session = client.post("/api/chat/start").json()["sessionId"]
        for accept in ("application/json", "text/event-stream"):
            client.post(
                f"/api/chat/{session}/message", json={"message": CANARY}, headers={"Accept": accept}
            ).raise_for_status()
        read = client.get(f"{path}/messages", params={"read_after": last["id"]})
        assert CANARY in read.text
        found = client.get("/api/conversations/", params={"q": CANARY})
        assert found.json()["total"] >= 1
        subjects = {"name": CANARY, "acts_for": "subjects"}
        key = client.post("/auth/keys", json=subjects).json()["key"]
        SECRETS.append(key.rpartition("_")[2])
        grace = {"Authorization": f"Bearer {key}", "Verbatim-User": CANARY}
        client.post("/api/chat/start", headers=grace).raise_for_status()
        link = client.post(f"{path}/share", json={}).json()
        secret = link["link"].rpartition("/")[2]
        SECRETS.append(secret)
        assert CANARY in client.get(f"/api/shared/{secret}").text
        client.delete(f"/api/shares/{link['id']}").raise_for_status()
        return [
            client.get(f"/api/shared/{secret}"),
            client.get(f"/shared/{secret}"),
            client.post(f"/api/shared/{secret}/import"),
            client.post(f"{path}/share", json={"audience": CANARY}),
            client.get("/auth/me", headers=grace | {"Authorization": f"Bearer {key}0"}),
            client.get("/auth/me", headers=grace | {"Verbatim-User": CANARY * 100}),
            client.get("/auth/me", headers={"Authorization": f"Bearer {key}"}),
            client.get("/auth/keys", headers=grace),
            client.delete(f"/auth/keys/{key}"),
            client.post("/auth/keys", json={"name": CANARY * 100}),
            client.post("/auth/keys", json={"name": CANARY, "scopes": [CANARY]}),
            client.post("/api/conversations/", json={CANARY: CANARY}, headers=grace),
            client.post("/auth/register", json=ACCOUNT),
            client.post("/auth/login", json=login | {"password": f"{CANARY} wrong"}),
            client.post("/auth/refresh", json={"refresh_token": CANARY}),
            client.post("/api/conversations/", json={"title": CANARY * 100}),
            client.post("/api/conversations/", json={CANARY: CANARY}),
            client.post(f"{path}/messages", json={"role": CANARY, "content": CANARY}),
            client.post(f"{path}/messages", content=f'{{"content": "{CANARY}'),
            client.post(f"{path}/messages", json={"role": "user", "content": f"{CANARY}\0"}),
            client.get(f"/api/conversations/{CANARY}"),
            client.get(f"/{CANARY}", params={CANARY: CANARY}),
            client.get("/api/conversations/", params={"cursor": CANARY}),
            client.get(path, params={"read_after": CANARY}),
            client.post(f"/api/chat/{CANARY}/message", json={"message": CANARY}),
            client.post("/api/chat/start", headers={b"Idempotency-Key": f"{CANARY}ü".encode()}),
            client.get("/auth/me", headers={"Authorization": f"Bearer {CANARY}"}),
            client.get("/metrics"),
            client.get("/status.json"),
            client.get("/readyz"),
        ]


def has_one(text: str) -> bool:
    return any(one in text for one in (CANARY, *SECRETS))


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return str(response.read().decode(errors="replace"))
    except OSError:
        return ""


def test_no_error_and_no_metric_repeats_it(answers: list[httpx.Response]) -> None:
    assert len(SECRETS) == 2
    assert [answer.request.url.path for answer in answers if has_one(answer.text)] == []
    assert not any(CANARY in str(answer.headers) for answer in answers)


def test_no_log_has_it(stack: RunningStack, answers: list[httpx.Response]) -> None:
    logs = [stack.log, *Path(stack.data).rglob("*.log")]

    assert "ready http" in stack.log.read_text()
    assert [path for path in logs if has_one(path.read_text(errors="replace"))] == []


def test_each_line_of_api_and_worker_is_json_where_settings_say_so(
    stack: RunningStack, answers: list[httpx.Response]
) -> None:
    for name in ("api", "worker"):
        # The last line may be written at this moment.
        *lines, _ = stack.log_of(name).split("\n")
        assert [line for line in lines if not line.startswith("{")] == []
        found = [json.loads(line) for line in lines]
        assert {"time", "level", "process", "logger", "message"} <= set.intersection(
            *map(set, found)
        )


def test_flower_and_its_broker_have_never_seen_it(
    stack: RunningStack, answers: list[httpx.Response]
) -> None:
    tasks = f"http://127.0.0.1:{stack.flower_port}/api/tasks"
    eventually(lambda: "persist" in fetched(tasks))

    pages = {page: fetched(f"http://127.0.0.1:{stack.flower_port}{page}") for page in FLOWER_PAGES}
    settings = completed(Settings(_env_file=None, verbatim_data_dir=stack.data))
    with Redis.from_url(settings.broker) as broker:
        held = b"".join(broker.dump(key) or b"" for key in broker.scan_iter())

    assert [page for page, shown in pages.items() if has_one(shown)] == []
    assert not has_one(held.decode(errors="replace"))


def test_no_process_shows_it_or_a_secret(
    stack: RunningStack, answers: list[httpx.Response]
) -> None:
    shown = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    secrets = [
        path.read_text()
        for path in Path(stack.data).rglob("*")
        if path.name == "secret_key" or path.suffix == ".password" or path.name == "password"
    ]

    assert not has_one(shown)
    assert len(secrets) >= 4
    assert not any(secret in shown for secret in secrets)
    assert not any(secret in stack.log.read_text() for secret in secrets)


def test_postgresql_logs_no_statement_with_it(
    stack: RunningStack, answers: list[httpx.Response]
) -> None:
    settings = completed(Settings(_env_file=None, verbatim_data_dir=stack.data))
    url = str(settings.database_direct_url)
    with closing(psycopg2.connect(url)) as owner, owner.cursor() as cursor:
        owner.autocommit = True
        cursor.execute("SELECT conversation_id, user_id FROM message LIMIT 1")
        conversation, user = cursor.fetchone() or (0, 0)
        with pytest.raises(psycopg2.IntegrityError):
            cursor.execute(
                "INSERT INTO message (id, conversation_id, user_id, position, role, content)"
                " VALUES (1, %s, %s, 1, 'user', %s)",
                (conversation, user, CANARY),
            )

    eventually(lambda: "ERROR:" in stack.log_of("postgres"))
    assert not has_one(stack.log_of("postgres"))
