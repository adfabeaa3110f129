"""What operators and readers of the manual see."""

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import SecretStr
from starlette.testclient import TestClient

from api.core import redis_client
from api.core.log import Log
from api.main import create_app
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.waiting import eventually

METRICS_TOKEN = "a token for prometheus"


@pytest.fixture(scope="module")
def manual(api: Api) -> dict[str, Any]:
    """The OpenAPI document."""
    with api.client() as client:
        return dict(client.get("/openapi.json").json())


def operations(manual: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in manual["paths"].items()
        for method, operation in methods.items()
    }


def test_the_process_is_alive_and_ready(anybody: httpx.Client) -> None:
    assert anybody.get("/livez").json() == {"status": "alive"}
    assert anybody.get("/readyz").json() == {
        "status": "ready",
        "log": "open",
        "database": "up",
        "broker": "up",
        "drain": "down",
        "oldest_entry_seconds": 0,
    }


def test_readiness_says_whether_somebody_drains_and_stays_200(
    api: Api, ada: httpx.Client, anybody: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drain() -> str:
        answer = anybody.get("/readyz")
        assert answer.status_code == 200
        return str(answer.json()["drain"])

    with redis_client.connect(api.settings, "verbatim-test") as servers:
        log = Log(servers, api.settings.log_namespace)
        nobody = drain()
        log.present("a worker")
        idle, workers = drain(), anybody.get("/metrics").text
        ada.post("/api/conversations/", json={}).raise_for_status()
        waiting = drain()
        monkeypatch.setattr("api.operations.monitoring.BEHIND_MS", -1)
        behind = drain()
        log.redis.delete(log.key(0, "workers"))

    assert (nobody, idle, waiting, behind) == ("down", "up", "up", "behind")
    assert "verbatim_workers 1.0" in workers
    with draining(api.settings):
        eventually(lambda: "verbatim_backlog_entries 0.0" in anybody.get("/metrics").text)


def test_metrics_count_what_was_accepted_and_drained(
    api: Api, ada: httpx.Client, anybody: httpx.Client
) -> None:
    conversation = ada.post("/api/conversations/", json={}).json()["id"]
    backlog = anybody.get("/metrics").text
    with draining(api.settings):
        ada.get(f"/api/conversations/{conversation}").raise_for_status()
    drained = anybody.get("/metrics")

    assert re.search(r'^verbatim_accepted_total\{op="open"\} [1-9]', backlog, re.MULTILINE)
    assert re.search(r"^verbatim_backlog_entries 1\.0$", backlog, re.MULTILINE)
    assert re.search(r"^verbatim_backlog_entries 0\.0$", drained.text, re.MULTILINE)
    assert re.search(r"^verbatim_committed_total [1-9]", drained.text, re.MULTILINE)
    assert re.search(
        r'^verbatim_lag_seconds_bucket\{le="\+Inf"\} [1-9]', drained.text, re.MULTILINE
    )
    assert drained.headers["content-type"].startswith("text/plain; version=")


@pytest.fixture(scope="module")
def callers(api: Api) -> Iterator[Callable[[str | None], TestClient]]:
    """Clients of an API with this token for its figures, or with none."""
    with ExitStack() as running:

        @cache
        def caller_of(token: str | None) -> TestClient:
            changes = {"metrics_token": SecretStr(token) if token else None}
            app = create_app(api.settings.model_copy(update=changes))
            return running.enter_context(TestClient(app, base_url="http://localhost"))

        yield caller_of


@pytest.mark.parametrize(
    ("token", "client", "sent", "status"),
    [
        (None, "127.0.0.1", None, 200),
        (None, "127.8.8.8", None, 200),
        (None, "::1", None, 200),
        (None, "::ffff:127.0.0.1", None, 200),
        (None, "10.0.0.7", None, 401),
        (None, "::ffff:10.0.0.7", None, 401),
        (None, "2001:db8::1", f"Bearer {METRICS_TOKEN}", 401),
        (None, "localhost.example.com", None, 401),
        (None, "10.0.0.7", "Bearer ", 401),
        (METRICS_TOKEN, "127.0.0.1", None, 200),
        (METRICS_TOKEN, "10.0.0.7", None, 401),
        (METRICS_TOKEN, "10.0.0.7", "Bearer wrong", 401),
        (METRICS_TOKEN, "10.0.0.7", METRICS_TOKEN, 401),
        (METRICS_TOKEN, "10.0.0.7", f"Bearer {METRICS_TOKEN}", 200),
        (METRICS_TOKEN, "10.0.0.7", f"Bearer {METRICS_TOKEN}\xe9", 401),
    ],
)
def test_figures_are_for_loopback_or_the_token(
    callers: Callable[[str | None], TestClient],
    token: str | None,
    client: str,
    sent: str | None,
    status: int,
) -> None:
    headers = {b"Authorization": sent.encode("latin-1")} if sent else {}
    caller = callers(token)
    caller._transport.client = (client, 1)  # type: ignore[attr-defined]

    answers = [caller.get(path, headers=headers) for path in ("/metrics", "/status.json")]
    # The page has no figures of its own; where there is a token, it asks for it.
    page = caller.get("/status")

    assert [answer.status_code for answer in answers] == [status, status]
    assert status == 200 or not any("backlog" in answer.text for answer in answers)
    assert page.status_code == (200 if token else status)


def test_swagger_ui_comes_from_this_machine(anybody: httpx.Client) -> None:
    page = anybody.get("/docs")
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert len(files) == 3
    assert "http://" not in page.text
    assert "https://" not in page.text
    for file in files:
        assert file.startswith("/docs/")
        assert anybody.get(file).status_code == 200
    script = anybody.get("/docs/swagger-ui-bundle.js")
    assert script.headers["content-type"].startswith("text/javascript")
    # Swagger UI 4 cannot show OpenAPI 3.1.
    assert re.search(r'PACKAGE_VERSION:"5\.', script.text)


@pytest.mark.parametrize(
    "path", ["/docs/index.html", "/docs/..%2Fcore.py", "/docs/%2e%2e/core.py", "/docs/", "/redoc"]
)
def test_nothing_else_is_served_beside_it(anybody: httpx.Client, path: str) -> None:
    assert anybody.get(path).status_code == 404


def test_every_operation_is_explained(manual: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(manual).values()]

    assert len(set(names)) == len(names)
    for operation in operations(manual).values():
        assert operation["summary"]
        assert len(operation["description"]) > 20
        assert operation["tags"]
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["name"] in {"sort", "order"}


def test_every_error_is_documented_as_a_problem(manual: dict[str, Any]) -> None:
    for (_, path), operation in operations(manual).items():
        errors = {s: r for s, r in operation["responses"].items() if s >= "400"}
        assert errors or path == "/livez"
        for status, answer in errors.items():
            assert answer["description"]
            [media_type] = answer["content"]
            # OpenAI's protocol has errors of its own; the connection's own is none of them.
            is_openai = path.startswith("/v1/") and status != "431"
            assert media_type == ("application/json" if is_openai else "application/problem+json")
        if operation.get("security"):
            assert {"401", "503"} <= errors.keys()
        if "requestBody" in operation:
            # An import is read line by line: it is bounded by the line, not as a whole.
            bounded = set() if path == "/api/import" else {"413"}
            assert {"400", "415"} | bounded <= errors.keys()
    assert "HTTPValidationError" not in manual["components"]["schemas"]


def test_every_field_of_the_wire_has_an_example(manual: dict[str, Any]) -> None:
    def shown(field: dict[str, Any]) -> bool:
        within = [field, *field.get("anyOf", []), field.get("items", {})]
        return any(
            {"examples", "$ref", "const", "enum", "example"} & part.keys() for part in within
        )

    unexplained = [
        f"{name}.{field}"
        for name, schema in manual["components"]["schemas"].items()
        for field, known in schema.get("properties", {}).items()
        if not shown(known) and not known.get("description")
    ]

    assert unexplained == []


def test_answers_are_not_cached_sniffed_or_referred(
    ada: httpx.Client, anybody: httpx.Client
) -> None:
    for answer in (ada.get("/auth/me"), anybody.get("/auth/me"), anybody.get("/nothing")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_the_garbage_collector_is_quiet_while_it_serves(api: Api) -> None:
    """Full collections stopped every request for 60 to 86 ms; start-up's objects are frozen."""
    app = create_app(api.settings)

    with TestClient(app):
        threshold, frozen = gc.get_threshold(), gc.get_freeze_count()

    assert threshold[0] >= 10_000
    assert threshold[2] >= 50
    assert frozen > 50_000


def test_an_unexpected_error_is_a_problem_without_its_text(
    start_api: StartApi, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "canary-0c44"
    api = start_api()
    router = APIRouter()

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError(secret)

    api.app.include_router(router)

    with closing(api.client()) as client:
        answer = client.get("/broken")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json().keys() == {"type", "title", "status", "detail"}
    logged = caplog.text + "".join(capfd.readouterr())
    assert "RuntimeError" in logged
    assert "broken" in logged
    assert secret not in logged + answer.text
