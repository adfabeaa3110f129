"""Bad input: a clear problem with the right status, nothing stored, nothing of it logged."""

import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlmodel import func, select

from api.core.database import make_engine, reading
from api.core.ids import MAX_ID
from api.core.models.accounts import User
from api.core.models.conversations import Conversation
from api.core.models.messages import Message
from api.http.fields import session_id
from tests.support.api import Api

CANARY = "canary-7f3a"
JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024
TABLES = (User, Conversation, Message)

BAD_CONTENTS: list[Any] = [
    "",
    f"{CANARY}\0",
    f"{CANARY}\ud800",
    f"\udfff{CANARY}",
    CANARY + "x" * (100_001 - len(CANARY)),
    CANARY + "😀" * (100_001 - len(CANARY)),
    None,
    7,
    1e400,
    True,
    [CANARY],
    {"text": CANARY},
]
BAD_TITLES: list[Any] = ["", f"{CANARY}\0", f"{CANARY}\ud800", CANARY + "x" * 190, 7, [CANARY]]
NOT_JSON: list[bytes] = [
    b"{",
    b'{"content": "' + CANARY.encode(),
    b"\xff\xfe\xfd" + CANARY.encode(),
    b'{"role": "user", "content": "' + CANARY.encode() + b'\xff"}',
    b"{'content': 'canary-7f3a'}",
    b"[" * 100_000,
    b'{"content": ' + b"9" * 5_000 + b"}",
    b"\0",
]
NOT_AN_OBJECT: list[bytes] = [b"null", b"7", b'"canary-7f3a"', b"[]", b""]


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation of somebody's own, to send bad input to."""

    person: httpx.Client
    id: int

    @property
    def messages(self) -> str:
        return f"/api/conversations/{self.id}/messages"

    @property
    def chat(self) -> str:
        return f"/api/chat/{session_id(self.id)}/message"


@pytest.fixture
def place(ada: httpx.Client) -> Place:
    return Place(ada, ada.post("/api/conversations/", json={}).json()["id"])


@pytest.fixture(autouse=True)
def _nothing_happens(
    api: Api,
    place: Place,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[None]:
    """Whatever a test of this module does: no entry, no row, not a word of it in any log."""
    caplog.set_level(logging.DEBUG)
    entries, rows = api.log.status().entries, stored_rows(api)

    yield

    assert api.log.status().entries == entries
    assert stored_rows(api) == rows
    # The client's own lines, and the access log's, which shows paths; no path takes a text.
    others = ("httpx", "httpcore", "uvicorn.access")
    ours = [r for r in caplog.get_records("call") if not r.name.startswith(others)]
    assert CANARY not in "".join(logging.Formatter().format(record) for record in ours)
    assert CANARY not in "".join(capfd.readouterr())


def stored_rows(api: Api) -> list[int]:
    engine = make_engine(api.settings.migration_database, application_name="verbatim-test")
    with reading(engine) as session:
        counts = [session.exec(select(func.count()).select_from(t)).one() for t in TABLES]
    engine.dispose()
    return counts


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Check that an answer is a problem document and repeats nothing of the request."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert isinstance(problem["title"], str)
    assert isinstance(problem["detail"], str)
    assert problem["title"]
    assert problem["detail"]
    return problem


def as_json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


@pytest.mark.parametrize("content", BAD_CONTENTS, ids=lambda content: ascii(content)[:30])
def test_a_senseless_message_is_422(place: Place, content: Any) -> None:
    added = place.person.post(
        place.messages, content=as_json({"role": "user", "content": content}), headers=JSON
    )
    said = place.person.post(place.chat, content=as_json({"message": content}), headers=JSON)

    [error] = assert_problem(added, 422)["errors"]
    assert (error["where"], error["field"]) == ("body", "content")
    [error] = assert_problem(said, 422)["errors"]
    assert (error["where"], error["field"]) == ("body", "message")


@pytest.mark.parametrize("title", BAD_TITLES, ids=lambda title: ascii(title)[:30])
def test_a_senseless_title_is_422(place: Place, title: Any) -> None:
    body = as_json({"title": title})

    opened = place.person.post("/api/conversations/", content=body, headers=JSON)
    renamed = place.person.patch(f"/api/conversations/{place.id}", content=body, headers=JSON)

    assert_problem(opened, 422)
    assert_problem(renamed, 422)


@pytest.mark.parametrize("role", ["developer", "User", "", CANARY, None, 1, ["user"]], ids=repr)
def test_a_senseless_role_is_422(place: Place, role: Any) -> None:
    answer = place.person.post(place.messages, json={"role": role, "content": "x"})

    assert_problem(answer, 422)


def test_missing_fields_are_422(place: Place) -> None:
    assert_problem(place.person.post(place.messages, json={"role": "user"}), 422)
    assert_problem(place.person.post(place.messages, json={"content": CANARY}), 422)
    assert_problem(place.person.post(place.chat, json={}), 422)
    assert_problem(place.person.patch(f"/api/conversations/{place.id}", json={}), 422)
    assert_problem(place.person.patch(f"/api/conversations/{place.id}", json={"title": None}), 422)


@pytest.mark.parametrize("unknown", ["user_id", "id", "status", "position", CANARY, "__proto__"])
def test_unknown_fields_are_422(place: Place, unknown: str) -> None:
    """Also those that somebody could hope to write into another one's history with."""
    message = {"role": "user", "content": CANARY, unknown: 1}
    answers = [
        place.person.post(place.messages, json=message),
        place.person.post(place.chat, json={"message": CANARY, unknown: 1}),
        place.person.post("/api/conversations/", json={"title": CANARY, unknown: 1}),
    ]

    for answer in answers:
        [error] = assert_problem(answer, 422)["errors"]
        assert error["message"] == "Unknown field"


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body)[:30])
def test_what_is_no_json_is_400(place: Place, body: bytes) -> None:
    for path in (place.messages, place.chat, "/api/conversations/"):
        assert_problem(place.person.post(path, content=body, headers=JSON), 400)


@pytest.mark.parametrize("body", NOT_AN_OBJECT, ids=repr)
def test_json_that_is_no_object_is_422(place: Place, body: bytes) -> None:
    for path in (place.messages, place.chat):
        assert_problem(place.person.post(path, content=body, headers=JSON), 422)


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "x"]
)
def test_a_body_that_is_not_called_json_is_415(place: Place, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}

    for path in (place.messages, place.chat, "/api/conversations/"):
        body = as_json({"role": "user", "content": CANARY})
        assert_problem(place.person.post(path, content=body, headers=headers), 415)


def test_a_declared_body_over_1_mib_is_413(place: Place) -> None:
    body = as_json({"role": "user", "content": CANARY}).ljust(MIB + 1)

    for path in (place.messages, place.chat, "/api/conversations/", "/api/chat/start"):
        assert_problem(place.person.post(path, content=body, headers=JSON), 413)


def test_a_chunked_body_over_1_mib_is_413(place: Place) -> None:
    def chunks() -> Iterator[bytes]:
        yield as_json({"role": "user", "content": CANARY})
        for _ in range(17):
            yield b" " * 65_536

    for path in (place.messages, place.chat, "/api/conversations/", "/auth/login"):
        assert_problem(place.person.post(path, content=chunks(), headers=JSON), 413)


@pytest.mark.parametrize("length", ["1048577", "9" * 40])
def test_a_declared_length_is_refused_before_the_body_is_sent(
    api: Api, place: Place, length: str
) -> None:
    address = urlsplit(api.url)
    head = (
        f"POST {place.messages} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: {place.person.headers['Authorization']}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )

    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as sent:
        sent.sendall(head.encode())
        answer = sent.recv(65_536)

    # A number that no machine can count to is refused by the HTTP parser itself.
    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))
    assert length != "1048577" or b"application/problem+json" in answer


@pytest.mark.parametrize(
    "bad",
    ["0", "-1", str(MAX_ID + 1), "9" * 400, "1e3", "1.0", "0x10", "+5", "1_000", " 7", "abc",
     "%00", "%F0%9F%98%80", "\u0661", CANARY, "null", "sess_1f", "7%2F.."],
)  # fmt: skip
def test_a_conversation_id_that_is_none_is_404(place: Place, bad: str) -> None:
    messages = {"role": "user", "content": CANARY}

    assert_problem(place.person.get(f"/api/conversations/{bad}"), 404)
    assert_problem(place.person.get(f"/api/conversations/{bad}/messages"), 404)
    assert_problem(place.person.post(f"/api/conversations/{bad}/messages", json=messages), 404)
    assert_problem(place.person.patch(f"/api/conversations/{bad}", json={"title": CANARY}), 404)
    assert_problem(place.person.delete(f"/api/conversations/{bad}"), 404)


def test_an_id_in_other_digits_is_404(place: Place) -> None:
    arabic = str(place.id).translate({ord("0") + n: 0x660 + n for n in range(10)})

    assert_problem(place.person.get(f"/api/conversations/{arabic}"), 404)


@pytest.mark.parametrize(
    "bad",
    ["x", "sess_", "sess_0", "sess_01", "sess_G", "sess_1F", "SESS_1f", "sess_-1", "sess_1 ",
     "sess_20000000000000", "sess_" + "f" * 500, "12345", CANARY, "sess_%00", "sess_\u0661"],
)  # fmt: skip
def test_a_session_id_that_is_none_is_400(place: Place, bad: str) -> None:
    assert_problem(place.person.post(f"/api/chat/{bad}/message", json={"message": CANARY}), 400)
    assert_problem(place.person.get(f"/api/chat/{bad}/history"), 400)
    assert_problem(place.person.delete(f"/api/chat/{bad}"), 400)


@pytest.mark.parametrize("unknown", [7, 2**41 - 1, MAX_ID], ids=str)
def test_an_id_that_was_never_given_out_is_404_at_once(place: Place, unknown: int) -> None:
    session = session_id(unknown)
    answers = [
        place.person.get(f"/api/conversations/{unknown}"),
        place.person.get(f"/api/conversations/{unknown}/messages"),
        place.person.patch(f"/api/conversations/{unknown}", json={"title": CANARY}),
        place.person.delete(f"/api/conversations/{unknown}"),
        place.person.post(
            f"/api/conversations/{unknown}/messages", json={"role": "user", "content": CANARY}
        ),
        place.person.post(f"/api/chat/{session}/message", json={"message": CANARY}),
        place.person.get(f"/api/chat/{session}/history"),
        place.person.delete(f"/api/chat/{session}"),
    ]

    for answer in answers:
        assert_problem(answer, 404)
        assert answer.elapsed.total_seconds() < 1.9


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=101", "limit=abc", "limit=", "limit=1.5", f"limit={'9' * 500}",
     "offset=-1", f"offset={MAX_ID + 1}", "offset=x", f"offset={'9' * 5000}", "order=up",
     f"order={CANARY}", "limit=%00"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/conversations/", "/api/conversations/7/messages"])
def test_a_query_out_of_range_is_422(place: Place, path: str, query: str) -> None:
    [error] = assert_problem(place.person.get(f"{path}?{query}"), 422)["errors"]

    assert error["where"] == "query"


@pytest.mark.parametrize(
    "query",
    ["after=-1", "before=-1", "after=x", f"after={MAX_ID + 1}", "after=1&before=9",
     "after=1&offset=1", "before=1&offset=1"],
)  # fmt: skip
def test_a_senseless_position_is_422(place: Place, query: str) -> None:
    assert_problem(place.person.get(f"{place.messages}?{query}"), 422)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "offset=-1", f"offset={'9' * 30}"])
def test_a_senseless_page_of_a_history_is_422(place: Place, query: str) -> None:
    assert_problem(place.person.get(f"/api/chat/{session_id(place.id)}/history?{query}"), 422)


@pytest.mark.parametrize("query", ["sort=name", "sort=", "sort=id;drop", "cursor=x&offset=1"])
def test_a_senseless_order_of_the_list_is_422(place: Place, query: str) -> None:
    assert_problem(place.person.get(f"/api/conversations/?{query}"), 422)


@pytest.mark.parametrize(
    "cursor", ["", "x", CANARY, "%00", "%F0%9F%98%80", "dWQxLjE=", "e30", "9" * 5000, "%25"]
)
def test_a_malformed_cursor_is_400(place: Place, cursor: str) -> None:
    assert_problem(place.person.get(f"/api/conversations/?cursor={cursor}"), 400)


@pytest.mark.parametrize(
    "read_after",
    ["0", "-1", "x", "", str(MAX_ID), str(MAX_ID + 1), "9" * 400, "1.0", CANARY, "%00", "1,2"],
)
def test_a_read_after_that_no_write_answered_is_400(place: Place, read_after: str) -> None:
    for path in (
        "/api/conversations/", "/api/conversations/7", "/api/conversations/7/messages",
        "/api/chat/sess_7/history",
    ):  # fmt: skip
        assert_problem(place.person.get(f"{path}?read_after={read_after}"), 400)


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a\tb", "ä".encode("latin-1"), "😀".encode()])
def test_a_malformed_idempotency_key_is_400(place: Place, key: bytes) -> None:
    headers = {b"Idempotency-Key": key}
    message = {"role": "user", "content": CANARY}
    answers = [
        place.person.post("/api/conversations/", json={}, headers=headers),
        place.person.post(place.messages, json=message, headers=headers),
        place.person.post(place.chat, json={"message": CANARY}, headers=headers),
        place.person.patch(f"/api/conversations/{place.id}", json={"title": "x"}, headers=headers),
        place.person.delete(f"/api/conversations/{place.id}", headers=headers),
        place.person.post("/api/chat/start", headers=headers),
    ]

    for answer in answers:
        assert_problem(answer, 400)


def test_two_idempotency_keys_are_400(place: Place) -> None:
    answer = place.person.post(
        place.chat,
        json={"message": CANARY},
        headers=[("Idempotency-Key", "one"), ("Idempotency-Key", "two")],
    )

    assert_problem(answer, 400)


def test_without_a_token_nothing_is_looked_at(place: Place, anybody: httpx.Client) -> None:
    for path in ("/api/conversations/7", "/api/conversations/junk", f"/api/chat/{CANARY}/history"):
        assert_problem(anybody.get(f"{path}?limit=0&read_after=x"), 401)
    assert_problem(anybody.post(place.messages, json={"content": 7}), 401)


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/chat", f"/{CANARY}", "/docs/..%2f.env"])
def test_an_unknown_path_is_404(place: Place, path: str) -> None:
    assert_problem(place.person.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/livez"), ("PATCH", "/api/conversations/"), ("POST", "/api/chat/sess_7/history"),
     ("TRACE", "/auth/me"), ("PUT", "/api/conversations/7")],
)  # fmt: skip
def test_another_method_is_405(place: Place, method: str, path: str) -> None:
    answer = place.person.request(method, path, json={"x": CANARY})

    assert_problem(answer, 405)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/conversations/", "GET, POST"),
        ("/api/conversations/7", "DELETE, GET, PATCH"),
        ("/api/conversations/7/messages", "GET, POST"),
        ("/auth/session", "DELETE, POST"),
        ("/api/chat/sess_7", "DELETE"),
        ("/api/chat/start", "POST"),
        ("/docs/swagger-ui.css", "GET"),
        ("/web/page.js", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ],
)
def test_allow_names_all_methods_of_a_path_and_no_others(
    place: Place, path: str, methods: str
) -> None:
    answer = place.person.request("OPTIONS", path)

    assert_problem(answer, 405)
    assert answer.headers["Allow"] == methods
