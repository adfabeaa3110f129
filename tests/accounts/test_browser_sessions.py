"""The cookie of a browser's session: who may use it, and for what."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.cookies import SimpleCookie

import httpx
import pytest

from tests.support.api import PASSWORD, Api
from tests.support.tokens import unsigned

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@contextmanager
def signed_in(api: Api) -> Iterator[httpx.Client]:
    with closing(api.client()) as client, closing(api.person()) as person:
        name = person.get("/auth/me").json()["username"]
        answer = client.post("/auth/session", json={"username": name, "password": PASSWORD})
        assert answer.json() == person.get("/auth/me").json()
        yield client


@pytest.fixture
def browser(api: Api) -> Iterator[httpx.Client]:
    """A client signed in with a cookie."""
    with signed_in(api) as client:
        yield client


@pytest.fixture(scope="module")
def lasting_browser(api: Api) -> Iterator[httpx.Client]:
    """One that is signed in for all tests that leave its session as it is: a hash takes long."""
    with signed_in(api) as client:
        yield client


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(api: Api) -> None:
    with closing(api.client()) as client:
        account = {"username": "cora", "email": "cora@example.com", "password": PASSWORD}
        client.post("/auth/register", json=account)
        answer = client.post("/auth/session", json={"username": "cora", "password": PASSWORD})

    cookie = SimpleCookie(answer.headers["set-cookie"])["verbatim_session"]
    assert answer.status_code == 200
    assert answer.json()["username"] == "cora"
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert not cookie["domain"]
    assert not cookie["secure"]


def test_a_session_reads_without_a_header(browser: httpx.Client) -> None:
    assert browser.get("/auth/me").status_code == 200
    assert browser.get("/api/conversations/").status_code == 200


@pytest.mark.parametrize("headers", [SAME_SITE, {"Origin": ""}], ids=["fetch-site", "origin"])
def test_a_session_may_write_for_pages_of_its_own_site(
    api: Api, browser: httpx.Client, headers: dict[str, str]
) -> None:
    headers = headers if "Origin" not in headers else {"Origin": api.url}

    assert browser.post("/api/conversations/", json={}, headers=headers).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "OWN"},
        {"Sec-Fetch-Site": "same-origin, cross-site"},
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/conversations/"),
        ("PATCH", "/api/conversations/244102400131075"),
        ("DELETE", "/api/conversations/244102400131075"),
        ("POST", "/api/chat/start"),
        ("POST", "/api/chat/sess_de02b13fd003/stop"),
        ("DELETE", "/auth/session"),
    ],
)
def test_a_session_changes_nothing_for_pages_of_others(
    api: Api, lasting_browser: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> None:
    headers = {name: api.url if value == "OWN" else value for name, value in headers.items()}

    answer = lasting_browser.request(method, path, headers=headers, json={"title": "x"})

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert lasting_browser.get("/auth/me").status_code == 200


def test_a_bearer_token_needs_no_origin(ada: httpx.Client) -> None:
    answer = ada.post("/api/conversations/", json={}, headers={"Origin": "https://other.example"})

    assert answer.status_code == 202


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic YTpi", ""])
def test_an_authorization_header_overrides_the_cookie(browser: httpx.Client, header: str) -> None:
    assert browser.get("/auth/me", headers={"Authorization": header}).status_code == 401


def test_two_authorization_headers_are_refused(
    api: Api, ada: httpx.Client, eve: httpx.Client
) -> None:
    both = [("Authorization", c.headers["Authorization"]) for c in (ada, eve)]

    answer = httpx.get(f"{api.url}/auth/me", headers=both)

    assert answer.status_code == 401


@pytest.mark.parametrize("value", ["", "x", "a.b.c", unsigned(), "x" * 7000], ids=len)
def test_an_invalid_session_cookie_is_refused(anybody: httpx.Client, value: str) -> None:
    answer = anybody.get("/auth/me", headers={"Cookie": f"verbatim_session={value}"})

    assert answer.status_code == 401


def test_signing_out_clears_the_cookie(browser: httpx.Client) -> None:
    answer = browser.delete("/auth/session", headers=SAME_SITE)

    assert answer.status_code == 204
    assert not browser.cookies
    assert browser.get("/auth/me").status_code == 401
    assert browser.delete("/auth/session").status_code == 204


def test_a_page_of_another_site_cannot_sign_a_user_in(
    anybody: httpx.Client, ada: httpx.Client
) -> None:
    name = ada.get("/auth/me").json()["username"]
    account = {"username": name, "password": PASSWORD}

    answer = anybody.post("/auth/session", json=account, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_wrong_password_creates_no_session(anybody: httpx.Client) -> None:
    answer = anybody.post("/auth/session", json={"username": "unknown", "password": PASSWORD})

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_openapi_lists_the_cookie_wherever_it_lists_the_token(anybody: httpx.Client) -> None:
    document = anybody.get("/openapi.json").json()

    wanted = [
        operation["security"]
        for path in document["paths"].values()
        for operation in path.values()
        if "security" in operation
    ]
    assert wanted
    subject: dict[str, list[str]] = {"token": [], "subject": []}
    assert all(security == [{"token": []}, subject, {"session": []}] for security in wanted)
    assert document["components"]["securitySchemes"]["session"]["in"] == "cookie"
