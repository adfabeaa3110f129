"""Cursors, ids, tokens and headers that nobody gave out: never an error of the server's."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.core.ids import PARTITIONS
from tests.support.api import PASSWORD, Api
from tests.support.draining import draining
from tests.support.scale import scaled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(scaled(120, full=1_200))]

TRIES = scaled(60, full=3_000)
fuzzed = settings(
    max_examples=TRIES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: A header's value as HTTP/1.1 lets it be sent.
HEADER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"))


@dataclass(frozen=True, slots=True)
class Given:
    """What the server gave out, to be bent."""

    person: httpx.Client
    anybody: httpx.Client
    access: str
    refresh: str
    cookie: str
    cursor: str
    conversation: int


@pytest.fixture(scope="module")
def out(api: Api) -> Iterator[Given]:
    with (
        draining(api.settings),
        closing(api.person()) as person,
        closing(api.client()) as anybody,
    ):
        # One in each partition: an id is unknown there, and none that may still come.
        opened = [person.post("/api/conversations/", json={}).json()["id"] for _ in range(2)]
        reached = api.open_in(range(PARTITIONS))
        page: dict[str, Any] = {"limit": 1, "read_after": reached + opened}
        cursor = person.get("/api/conversations/", params=page).json()["next_cursor"]
        login = {"username": person.get("/auth/me").json()["username"], "password": PASSWORD}
        tokens = anybody.post("/auth/login", json=login).json()
        cookie = anybody.post("/auth/session", json=login).headers["Set-Cookie"].partition(";")[0]
        anybody.cookies.clear()
        yield Given(
            *(person, anybody, tokens["access_token"], tokens["refresh_token"]),
            *(cookie, cursor, opened[0]),
        )


def bent(data: st.DataObject, text: str) -> str:
    """Change a text a little: cut, double, swap, insert, or put something else in its parts."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    put = data.draw(st.one_of(st.just(text[start:end] * 2), HEADER))
    return text[:start] + put + text[end:]


def assert_refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:200])


@fuzzed
@given(data=st.data())
def test_a_bent_cursor_is_refused(out: Given, data: st.DataObject) -> None:
    raw = base64.urlsafe_b64decode(out.cursor + "=" * (-len(out.cursor) % 4)).decode("latin-1")
    well_formed = f"ud{data.draw(st.integers(-(10**18), 10**18))}.{data.draw(st.integers(0))}"
    inside = data.draw(st.sampled_from([bent(data, raw), well_formed]))
    encoded = base64.urlsafe_b64encode(inside.encode("latin-1")).decode().rstrip("=")
    text = data.draw(st.text(max_size=300))
    cursor = data.draw(st.sampled_from([encoded, bent(data, out.cursor), text]))
    url = f"/api/conversations/?cursor={quote(cursor, errors='surrogatepass')}"

    assert_refused(out.person.get(url), 200, 400, 422)


#: Any integer, also of a hundred digits, and what is next to powers of two.
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**100), 10**100),
    st.builds(lambda power, by: 2**power + by, st.integers(0, 70), st.integers(-2, 2)),
)


@fuzzed
@given(data=st.data(), number=NUMBERS, text=st.text(max_size=80))
def test_an_id_that_was_not_given_out_is_not_found(
    out: Given, data: st.DataObject, number: int, text: str
) -> None:
    # Only back in time: an id from the future may still come, and is waited for.
    earlier = out.conversation - data.draw(st.integers(1, out.conversation))
    found = data.draw(
        st.sampled_from([str(number), str(earlier), bent(data, str(earlier)), f"{earlier}.0", text])
    )
    # A slash or a dot would be another path.
    named = quote(found, safe="", errors="surrogatepass").replace(".", "%2E") or "0"
    session = f"sess_{earlier:x}" if found == str(earlier) else named

    for path in (f"/api/conversations/{named}", f"/api/conversations/{named}/messages"):
        assert_refused(out.person.get(path), 404)
    for path in ("history", "turns", f"stream?turn={named}"):
        assert_refused(out.person.get(f"/api/chat/{session}/{path}"), 400, 404, 422)
    assert_refused(out.person.get(f"/api/conversations/?read_after={named}"), 200, 400, 422)


@fuzzed
@given(data=st.data(), text=HEADER)
def test_a_bent_token_is_nobody(out: Given, data: st.DataObject, text: str) -> None:
    header, payload, signature = out.access.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims[data.draw(st.sampled_from(sorted(claims)))] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=3,
        )
    )
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    token = data.draw(
        st.sampled_from([text, bent(data, out.access), f"{header}.{forged}.{signature}"])
    )
    # Spaces around it are HTTP's, and no part of it.
    token = token.strip() or "x"
    sent = {b"Authorization": b"Bearer " + token.encode("latin-1")}

    assert_refused(out.anybody.get("/auth/me", headers=sent), 200 if token == out.access else 401)


@fuzzed
@given(data=st.data(), text=st.text())
def test_a_bent_refresh_token_renews_nothing(out: Given, data: st.DataObject, text: str) -> None:
    token = data.draw(st.sampled_from([text, bent(data, out.refresh)]))
    if token == out.refresh:
        return
    body: Any = json.dumps({"refresh_token": token})
    answer = out.anybody.post(
        "/auth/refresh", content=body, headers={"Content-Type": "application/json"}
    )

    assert_refused(answer, 401, 422)


@fuzzed
@given(data=st.data(), text=HEADER)
def test_a_bent_cookie_is_nobody(out: Given, data: st.DataObject, text: str) -> None:
    name, _, value = out.cookie.partition("=")
    sent = f"{name}={data.draw(st.sampled_from([text, bent(data, value)]))}".strip()
    answer = out.anybody.get("/auth/me", headers={b"Cookie": sent.encode("latin-1")})

    # The part that renews may be whole, and the rest of it cut off: then it is still theirs.
    assert_refused(answer, 200, 401)
    out.anybody.cookies.clear()


#: What a server may take apart: values of headers are made of these.
PARTS = st.sampled_from(
    [
        *("http://", "127.0.0.1", "null", "[", "]", ":", "/", "?", "#", "@", "%", "%00", "bytes="),
        *("-", ",", "0", "1", "9" * 30, "9" * 5_000, "*", '"', "W/", "=", ";", "q=", "~", "."),
        *("application/json", "text/event-stream", "charset=", "utf-16", "verbatim_session"),
        *("Bearer ", "Basic ", "same-origin", "Thu, 01 Jan 1970 00:00:00 GMT", "\xff", "\t", " "),
    ]
)
MADE = st.lists(PARTS, max_size=6).map("".join)
STRANGE = st.one_of(HEADER, MADE, MADE.map("http://{}".format), MADE.map("bytes={}".format))
HEADERS = (
    *("Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type", "Cookie"),
    *("Expect", "Forwarded", "Host", "Idempotency-Key", "If-Modified-Since", "If-None-Match"),
    *("If-Range", "Last-Event-ID", "Origin", "Range", "Referer", "Sec-Fetch-Site", "Upgrade"),
    *("X-Forwarded-For", "X-Forwarded-Proto"),
)
PLACES = (
    *(("POST", "/auth/session"), ("DELETE", "/auth/session"), ("POST", "/api/conversations/")),
    *(("GET", "/api/conversations/"), ("GET", "/openapi.json"), ("GET", "/web/index.html")),
)


@settings(fuzzed, max_examples=TRIES // 3)
@given(value=STRANGE, place=st.sampled_from(PLACES), has_cookie=st.booleans())
@example(value="http://[", place=("POST", "/auth/session"), has_cookie=False)
def test_a_strange_header_is_no_error_of_the_servers(
    out: Given, value: str, place: tuple[str, str], has_cookie: bool
) -> None:
    method, path = place
    client = out.anybody if has_cookie else out.person
    body = {"title": "x"} if path.startswith("/api/") else {"username": "x", "password": "y"}
    for name in HEADERS:
        sent = {b"Cookie": out.cookie.encode()} if has_cookie else {}
        # A range tells what `If-Range` is about.
        sent |= {b"Range": b"bytes=0-1"} if name == "If-Range" else {}
        sent[name.encode()] = value.strip().encode("latin-1")
        answer = client.request(method, path, headers=sent, json=body if method == "POST" else None)
        client.cookies.clear()

        assert answer.status_code < 500, (name, answer.status_code, answer.text[:200])
