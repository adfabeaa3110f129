"""Connections that bring much, bring it slowly, or bring nothing."""

import asyncio
import json
import logging
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.http import protocol as connections
from api.http import uploads
from api.http.uploads import LEAST_BYTES
from api.writes import imports
from tests.support.api import Api
from tests.support.draining import draining
from tests.support.files import PNG
from tests.support.waiting import eventually

SECONDS = 1.0
MESSAGE = {"role": "user", "content": "Buy milk"}


@contextmanager
def connected(api: Api) -> Iterator[socket.socket]:
    where = urlsplit(api.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=120) as opened:
        yield opened


def head_of(person: httpx.Client, path: str) -> bytes:
    """Return the head of a request of somebody's, with a body of 5 MB."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Length: 5000000",
        "Content-Type: application/x-ndjson",
        f"Authorization: {person.headers['Authorization']}",
    )
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def importing(
    api: Api, person: httpx.Client
) -> Iterator[tuple[socket.socket, Callable[[], bytes]]]:
    """Begin an import; also gives what reads the answer to its next line."""
    with connected(api) as opened, opened.makefile("rb") as answers:
        opened.sendall(head_of(person, "/api/import"))

        def next_answer() -> bytes:
            return next((line for line in answers if b'"line"' in line), b"")

        yield opened, next_answer


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


@dataclass(frozen=True, slots=True)
class Requests:
    """Those that clients are sending."""

    #: How many there are whose time runs.
    arriving: Callable[[], int]
    #: Ends the time of all these, and returns how many there were.
    time_passes: Callable[[], int]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """The requests of connections that are made from now on."""
    made: list[connections.Connection] = []
    begin = connections.Connection.connection_made

    def noted(connection: connections.Connection, transport: asyncio.Transport) -> None:
        made.append(connection)
        begin(connection, transport)

    monkeypatch.setattr(connections.Connection, "connection_made", noted)

    def arriving() -> list[connections.Connection]:
        return [connection for connection in made if connection._deadline is not None]

    async def end_all() -> int:
        late = arriving()
        for connection in late:
            connection._cancel_deadline()
            connection._give_up()
        return len(late)

    return Requests(
        arriving=lambda: len(arriving()),
        time_passes=lambda: asyncio.run_coroutine_threadsafe(end_all(), made[0].loop).result(),
    )


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


def test_an_import_may_come_slowly_but_must_come(api: Api, requests: Requests) -> None:
    with closing(api.person()) as person, importing(api, person) as (slow, next_answer):
        for _ in range(3):
            slow.sendall(b"{\n")
            assert b'"line"' in next_answer()  # each is answered as it comes
            eventually(requests.arriving)
            assert requests.time_passes() == 1

        assert requests.time_passes() == 1
        assert not next_answer()


def test_who_waits_for_a_slow_server_is_not_slow(
    api: Api, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "PATIENCE_SECONDS", 600)
    message = {"external_id": "1", "role": "user", "content": "x"}
    line = json.dumps({"external_id": "a", "messages": [message]}).encode() + b"\n"
    with closing(api.person()) as person, importing(api, person) as (patient, next_answer):
        patient.sendall(line)
        assert b'"messages": 1' in next_answer()
        eventually(requests.arriving)
        patient.sendall(line)
        # What it has of that must be read, and nobody drains yet.
        eventually(lambda: not requests.arriving())
        assert not requests.time_passes()
        patient.sendall(b"{\n")
        with draining(api.settings):
            assert b'"messages": 0' in next_answer()
        assert b'"status": 400' in next_answer()
        eventually(requests.arriving)


def test_a_file_may_come_slowly_but_must_come(api: Api, requests: Requests) -> None:
    services = api.app.state.services
    slots = services.upload_slots

    def arrived(size: int) -> None:
        eventually(lambda: services.uploads._held_bytes == size)

    with (
        closing(api.person()) as person,
        connected(api) as slow,
        connected(api) as slower,
        ThreadPoolExecutor(1) as others,
    ):
        for upload in (slow, slower):
            upload.sendall(head_of(person, "/api/assets") + b"x")
        arrived(2)
        for upload in (slow, slower):
            upload.sendall(b"x" * LEAST_BYTES)
        arrived(2 + 2 * LEAST_BYTES)
        assert requests.time_passes() == 2

        # Both go on; a third one, which has arrived, waits for its turn.
        third = others.submit(person.post, "/api/assets", content=PNG)
        eventually(lambda: [user.requests for user in list(slots._users.values())] == [3])
        slow.sendall(b"x" * LEAST_BYTES)
        slower.sendall(b"x" * (LEAST_BYTES - 1))
        arrived(1 + 4 * LEAST_BYTES)
        assert requests.time_passes() == 2

        assert_refused(everything(slower), 408)
        assert third.result(60).status_code == 201
        arrived(1 + 2 * LEAST_BYTES)
        assert requests.time_passes() == 1
        assert_refused(everything(slow), 408)
        arrived(0)
        eventually(lambda: not slots._users)


def test_who_sends_on_after_a_refusal_must_come_to_an_end(
    api: Api, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "HELD_MOST_BYTES", 0)
    monkeypatch.setattr(connections.Connection, "timeout_keep_alive_handler", lambda _: None)
    with closing(api.person()) as person, connected(api) as stubborn:
        stubborn.sendall(head_of(person, "/api/assets") + b"x")
        assert stubborn.recv(65536).startswith(b"HTTP/1.1 503")
        stubborn.sendall(b"x")
        eventually(requests.arriving)
        requests.time_passes()
        assert everything(stubborn)


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


def request_of(person: httpx.Client, method: str, path: str, body: bytes = b"") -> bytes:
    """Return a whole request of somebody's."""
    lines = (
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        f"Authorization: {person.headers['Authorization']}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("more", "statuses"),
    [
        (b"\x16\x03", [b"202"]),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n\x16\x03", [b"202", b"200"]),
        (
            b"POST /auth/login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n!",
            [b"202"],
        ),
    ],
    ids=["no HTTP", "no HTTP after a second one", "a body that breaks"],
)
def test_what_comes_after_a_request_takes_nothing_from_its_answer(
    api: Api, more: bytes, statuses: list[bytes]
) -> None:
    """A refusal in its place would say of what was accepted that it was not."""
    with closing(api.person()) as person, connected(api) as hasty:
        conversation = person.post("/api/conversations/", json={}).json()["id"]
        path = f"/api/conversations/{conversation}/messages"
        hasty.sendall(request_of(person, "POST", path, json.dumps(MESSAGE).encode()) + more)

        answered = re.findall(rb"HTTP/1.1 (\d+)", everything(hasty))

    assert answered[: len(statuses)] == statuses


def test_who_leaves_while_several_requests_wait_is_no_error(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[RequestResponseCycle] = []
    run = RequestResponseCycle.run_asgi

    async def noted(cycle: RequestResponseCycle, app: Any) -> None:
        await run(cycle, app)
        ended.append(cycle)

    with closing(api.person()) as person, connected(api) as leaving:
        session = person.post("/api/chat/start").json()["sessionId"]
        monkeypatch.setattr(RequestResponseCycle, "run_asgi", noted)
        quick = request_of(person, "GET", "/livez")
        # Nobody drains here: the read waits.
        slow = request_of(person, "GET", f"/api/chat/{session}/history")
        leaving.sendall(quick + slow + quick)
        assert leaving.recv(9) == b"HTTP/1.1 "
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    eventually(lambda: len(ended) == len((quick, slow)))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


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
