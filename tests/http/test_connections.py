"""Connections that bring much, bring it slowly, or bring nothing."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from api.http import protocol as connections
from tests.support.api import Api
from tests.support.waiting import eventually

SECONDS = 1.0


@contextmanager
def connected(api: Api) -> Iterator[socket.socket]:
    where = urlsplit(api.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as opened:
        yield opened


def everything(opened: socket.socket) -> bytes:
    """Read until the server closes."""
    return b"".join(iter(lambda: opened.recv(65536), b""))


def assert_refused(answer: bytes, status: int) -> None:
    """It is a whole problem document, with the headers that every answer has."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = httpx.Headers(dict(line.split(": ", 1) for line in lines[1:]))

    assert lines[0].split()[1] == str(status)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Connection"] == "close"
    assert len(body) == int(headers["Content-Length"])
    assert json.loads(body)["status"] == status


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", SECONDS)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"\r\n",
        b"POST /auth/login HT",
        b"POST /auth/login HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        b"POST /auth/login HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /li",
    ],
    ids=["nothing", "a line end", "a line", "a header", "a body", "a chunk", "the next"],
)
@pytest.mark.usefixtures("impatient")
def test_a_request_that_does_not_arrive_is_given_up(api: Api, begun: bytes) -> None:
    with connected(api) as slow:
        slow.sendall(begun)
        started = time.monotonic()
        answer = everything(slow)

    assert time.monotonic() - started < SECONDS * 8
    assert_refused(b"HTTP/1.1 408" + answer.rpartition(b"HTTP/1.1 408")[2], 408)


@pytest.mark.usefixtures("impatient")
def test_drop_by_drop_is_no_way_to_stay(api: Api) -> None:
    started = time.monotonic()
    with connected(api) as slow, suppress(OSError):
        slow.sendall(b"GET /livez HTTP/1.1\r\n")
        while time.monotonic() - started < SECONDS * 20:
            slow.sendall(b"X-Drop: x\r\n")
            time.sleep(SECONDS / 10)

    assert time.monotonic() - started < SECONDS * 10


@pytest.mark.usefixtures("impatient")
def test_an_import_may_come_slowly_but_must_come(api: Api) -> None:
    with closing(api.person()) as person, connected(api) as slow:
        head = (
            "POST /api/import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
            f"Content-Type: application/x-ndjson\r\n"
            f"Authorization: {person.headers['Authorization']}\r\n\r\n"
        )
        slow.sendall(head.encode())
        answers = slow.makefile("rb")
        started = time.monotonic()
        while time.monotonic() - started < SECONDS * 2:  # longer than a request may take
            slow.sendall(b"{\n")
            while b'"line"' not in (answer := answers.readline()):  # each is answered as it comes
                assert answer
        everything(slow)

        assert time.monotonic() - started < SECONDS * 10


@pytest.mark.usefixtures("impatient")
def test_a_slow_answer_is_not_a_slow_request(api: Api) -> None:
    with closing(api.person()) as person:
        session = person.post("/api/chat/start").json()["sessionId"]
        started = time.monotonic()
        # Nobody drains here: the read waits longer than a request may take to arrive.
        answer = person.get(f"/api/chat/{session}/history")

        assert time.monotonic() - started > SECONDS
        assert answer.status_code == 503


@pytest.mark.parametrize(
    "head",
    [
        b"X-A: " + b"x" * 40_000 + b"\r\n",
        b"X-A: x\r\n" * 8_000,
        b"X-A: " + b"x" * 4_000_000,
    ],
    ids=["one", "many", "without end"],
)
def test_headers_have_an_end(api: Api, head: bytes) -> None:
    with connected(api) as greedy:
        try:
            greedy.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + head)
            greedy.sendall(b"\r\n\r\n")
            answer = everything(greedy)
        except OSError:
            # Closed while it was still sending, the answer may be lost with that.
            return

    assert_refused(answer, 431)


def test_a_path_has_an_end_and_a_long_one_within_it_is_served(api: Api) -> None:
    with closing(api.client()) as client:
        assert client.get(f"/livez?{'x' * 30_000}").status_code == 200
        assert client.get(f"/livez?{'x' * 40_000}").status_code == 431


def test_what_is_no_http_is_refused_as_everything_is(api: Api) -> None:
    with connected(api) as strange:
        strange.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        assert_refused(everything(strange), 400)


def test_connections_are_bounded_and_others_go_on(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 30)
    with ExitStack() as stack, closing(api.client()) as before:
        assert before.get("/livez").status_code == 200
        crowd = [stack.enter_context(connected(api)) for _ in range(60)]
        refused = crowd[-1]

        assert_refused(everything(refused), 503)
        assert before.get("/livez").status_code == 200

    def free() -> bool:
        with closing(api.client()) as client:
            return client.get("/livez").status_code == 200

    eventually(free)


def test_no_connection_becomes_a_web_socket(api: Api) -> None:
    with closing(api.client()) as client:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        assert client.get("/livez", headers=upgrade).status_code == 200
