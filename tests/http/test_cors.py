"""Pages of other origins: those that are named send a bearer token, and nobody sends a cookie."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from api.core.settings import Settings
from api.http.cors import Cors
from api.http.hosts import AllowedHosts
from api.http.middleware import LoadShedder, OuterMiddleware, is_write
from api.http.shares import Shares
from tests.chat.events import STREAM, events
from tests.support.api import Api, StartApi

APP, OTHER = "https://app.example.com", "https://app.example.com:8443"
STRANGERS = [
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:444",
    "https://app.example.com.evil.example",
    "https://sub.app.example.com",
    "null",
]


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> Api:
    return start_api(cors_origins=f"{APP}, {OTHER}/")


@pytest.fixture
def page(api: Api) -> Iterator[httpx.Client]:
    """A page of the app, whose user is signed in with a token."""
    with closing(api.person()) as person:
        person.headers["Origin"] = APP
        yield person


def preflight(
    client: httpx.Client, origin: str, method: str, headers: str = "authorization"
) -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    return client.options("/api/conversations/", headers=asked)


def readable_by(answer: httpx.Response) -> str | None:
    assert "Access-Control-Allow-Credentials" not in answer.headers
    allowed: str | None = answer.headers.get("Access-Control-Allow-Origin")
    return allowed


def test_a_page_may_send_all_that_a_call_takes(api: Api, anybody: httpx.Client) -> None:
    calls = [call for path in api.app.openapi()["paths"].values() for call in path.items()]
    methods = {method.upper() for method, _ in calls}
    taken = [one for _, call in calls for one in call.get("parameters", [])]
    named = {one["name"].lower() for one in taken if one["in"] == "header"}
    headers = ",".join(sorted({"authorization", "content-type"} | named))

    for origin in (APP, OTHER):
        for method in methods:
            answer = preflight(anybody, origin, method, headers)
            assert (answer.status_code, readable_by(answer)) == (200, origin)
    # A key that acts for subjects belongs in no page.
    assert preflight(anybody, APP, "POST", "verbatim-user").status_code == 400


def test_a_page_reads_answers_errors_and_streams(page: httpx.Client) -> None:
    session = page.post("/api/chat/start").json()["sessionId"]
    answers = [
        page.get("/auth/me"),
        page.get("/api/conversations/7"),
        page.post("/api/conversations/", json={"unknown": 1}),
        page.get("/api/nothing"),
        page.get("/auth/me", headers={"Authorization": "Bearer x"}),
        page.post("/auth/login", json={"username": "nobody", "password": "x"}),
        page.post("/api/conversations/", content=b"x" * 2_000_000),
        page.get("/auth/me", headers={"Host": "evil.example"}),
    ]

    assert [a.status_code for a in answers] == [200, 404, 422, 404, 401, 401, 413, 421]
    assert [readable_by(answer) for answer in answers] == [APP] * len(answers)
    path, body = f"/api/chat/{session}/message", {"message": "Hello"}
    with page.stream("POST", path, json=body, headers=STREAM) as answer:
        assert readable_by(answer) == APP
        assert [event["event"] for event in events(answer)][-1] == "end"


@pytest.mark.parametrize("stranger", STRANGERS)
def test_nobody_else_reads_anything(page: httpx.Client, stranger: str) -> None:
    assert readable_by(preflight(page, stranger, "GET")) is None
    assert readable_by(page.get("/auth/me", headers={"Origin": stranger})) is None


def test_the_cookie_is_for_pages_of_this_server(page: httpx.Client) -> None:
    account = {"username": "nobody", "password": "x"}

    assert page.post("/auth/session", json=account).status_code == 403


@pytest.mark.parametrize("path", ["/metrics", "/status.json", "/readyz", "/"])
def test_what_is_answered_without_a_token_is_for_no_other_page(
    page: httpx.Client, path: str
) -> None:
    assert readable_by(page.get(path)) is None


def test_a_refusal_that_was_made_once_carries_nothing_over_to_the_next() -> None:
    """A load shedder sends the same messages again and again."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        pytest.fail("it was not refused")

    shedders = [LoadShedder("overload", "too much", is_write, lambda: True)]
    outer = OuterMiddleware(app, shedders, AllowedHosts(()), Shares())
    served = Cors(outer, {APP, OTHER})

    def refused(origin: str) -> dict[bytes, list[bytes]]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/api/conversations/",
            "scheme": "http",
            "headers": [(b"origin", origin.encode())] if origin else [],
        }
        asyncio.run(served(scope, receive, send))
        found: dict[bytes, list[bytes]] = {}
        for name, value in sent[0]["headers"]:
            found.setdefault(name, []).append(value)
        return found

    for _ in range(40):
        for origin in (APP, OTHER):
            headers = refused(origin)
            assert headers[b"access-control-allow-origin"] == [origin.encode()]
            assert headers[b"vary"] == [b"Origin"]
        assert b"access-control-allow-origin" not in refused("https://evil.example")


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "null",
        "app.example.com",
        "https://*.example.com",
        "https://app.example.com/path",
        "https://app.example.com,",
        "https://user@app.example.com",
        "ftp://app.example.com",
        "https://bücher.example",
    ],
)
def test_what_is_no_origin_stops_the_start(value: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings(_env_file=None, cors_origins=value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, set()),
        ("", set()),
        ("HTTPS://App.Example.com:443/", {APP}),
        (f"{APP},http://localhost:5173", {APP, "http://localhost:5173"}),
    ],
)
def test_origins_are_compared_as_browsers_write_them(given: str | None, kept: set[str]) -> None:
    assert Settings(_env_file=None, cors_origins=given).origins == kept
