"""`clients/python`: what both clients decide alike, without a server."""

import ast
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from verbatim_client import NoAnswer, Problem, Unavailable, VerbatimError
from verbatim_client.call import Call, encoded, segment, write
from verbatim_client.errors import problem_of
from verbatim_client.event_stream import EventParser, RawEvent
from verbatim_client.exchange import exchange
from verbatim_client.identity import Identity, Written
from verbatim_client.retries import Patience, is_worth_repeating
from verbatim_client.steps import Pause, Reply, Send

SOURCES = sorted((Path(__file__).parents[2] / "clients" / "python").rglob("*.py"))
#: Modules that may import what their extra installs.
EXTRAS: Mapping[str, set[str]] = {
    "agents": {"agents"},
    "agent_framework": {"agent_framework"},
    "chatkit": {"chatkit"},
    "chatkit_form": {"chatkit", "pydantic"},
    "langchain": {"langchain_core"},
    "langchain_form": {"langchain_core"},
    "langchain_middleware": {"langchain", "langchain_core", "langgraph", "typing_extensions"},
    "pydantic_ai": {"pydantic_ai"},
    "pydantic_ai_form": {"pydantic", "pydantic_ai"},
}

PROBLEM = {"content-type": "application/problem+json"}
READ: Call[Any] = Call("GET", "/", lambda answer: answer)
WRITE: Call[Any] = write("POST", "/", lambda answer: answer, key="one", body={"a": 1})
UNKEYED: Call[Any] = Call("POST", "/", lambda answer: answer)


def somebody(retry_seconds: float = 60) -> Identity:
    return Identity(key="k", sign_in=None, subject=None, retry_seconds=retry_seconds)


def problem(status: int, **headers: str) -> Problem:
    return problem_of(status, PROBLEM | headers, b'{"title": "T", "detail": "D"}')


def of_a_proxy(status: int) -> Problem:
    return problem_of(status, {"content-type": "text/html"}, b"<h1>")


def repeat(work: Callable[[], None]) -> None:
    while True:
        work()


def unsent() -> NoAnswer:
    return NoAnswer("refused", sent=False)


@pytest.mark.parametrize(
    ("failure", "if_repeatable", "if_not"),
    [
        (NoAnswer("lost"), True, False),
        (unsent(), True, True),
        (problem(408), True, False),
        (problem(429), True, True),
        (problem(500), False, False),
        (problem(502), False, False),
        (problem(502, **{"retry-after": "1"}), True, False),
        (of_a_proxy(502), True, False),
        (problem(503), True, False),
        (problem(504), False, False),
        (of_a_proxy(504), True, False),
        (problem(409), False, False),
        (problem(422), False, False),
    ],
    ids=str,
)
def test_only_what_may_help_and_does_no_harm_is_sent_again(
    failure: VerbatimError, if_repeatable: bool, if_not: bool
) -> None:
    assert is_worth_repeating(failure, is_repeatable=True) is if_repeatable
    assert is_worth_repeating(failure, is_repeatable=False) is if_not


def test_a_repeated_write_is_the_same_request_and_waits_as_long_as_it_is_told() -> None:
    course = exchange(WRITE, somebody())

    first = next(course)
    pause = course.send(Reply(503, PROBLEM | {"retry-after": "7"}, b"{}"))
    second = next(course)
    with pytest.raises(StopIteration) as done:
        course.send(Reply(202, {}, b'{"id": 3}'))

    assert isinstance(first, Send)
    assert first == second
    assert first.request.headers[b"Idempotency-Key"] == b"one"
    assert isinstance(pause, Pause)
    assert pause.seconds == 7
    assert done.value.value == {"id": 3}


def test_each_write_has_a_key_of_its_own() -> None:
    keys = {write("POST", "/", json.loads, key=None).key for _ in range(3)}

    assert len(keys) == 3
    assert None not in keys


def test_attempts_end_where_the_next_one_would_be_too_late() -> None:
    now = 0.0
    patience = Patience(10, lambda: now)

    pauses = []

    def wait() -> None:
        nonlocal now
        pauses.append(patience.pause(problem(503), WRITE).seconds)
        now += pauses[-1]

    with pytest.raises(Unavailable) as given_up:
        repeat(wait)

    assert sum(pauses) <= 10
    assert pauses[-1] > 10 * pauses[0]
    assert given_up.value.idempotency_key == "one"
    patience.renew()
    assert patience.pause(problem(503), WRITE).seconds <= 0.1
    with pytest.raises(Unavailable):
        patience.pause(problem(503, **{"retry-after": "11"}), WRITE)


def test_what_is_lost_is_not_asked_for_again() -> None:
    who = somebody()
    who.written.note({"id": 32, "entry_id": 48, "title": "x"})
    who.written.note({"replyId": 33, "messageId": None})
    who.written.note([1])
    reading = Call("GET", "/", json.loads, awaits_writes=True)
    course = exchange(reading, who)

    first = next(course)
    with pytest.raises(Problem):
        course.send(Reply(410, PROBLEM, b"{}"))
    second = next(exchange(reading, who))

    assert isinstance(first, Send)
    assert first.request.query == [("read_after", 48), ("read_after", 33)]
    assert isinstance(second, Send)
    assert second.request.query == []


def test_the_newest_write_of_a_partition_is_kept_whatever_comes_later() -> None:
    written = Written()
    for written_id in (64, 32, 48):
        written.note({"id": written_id})

    assert written.ids() == [64]


def test_whoever_is_named_again_reads_what_was_written_and_nobody_else_waits_for_it() -> None:
    program = somebody()
    program.acting_for("ada").written.note({"id": 32})
    eve = program.acting_for("eve")

    assert eve.acting_for("ada").written.ids() == [32]
    assert eve.written.ids() == []
    assert program.written.ids() == []
    assert eve.acting_for("eve") is eve


def test_retry_after_may_be_a_date_and_nonsense_is_none() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
    long_ago = format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)

    assert 0 < (problem(503, **{"retry-after": in_a_minute}).retry_after_seconds or 0) <= 60
    assert problem(503, **{"retry-after": long_ago}).retry_after_seconds == 0
    assert problem(503, **{"retry-after": "soon"}).retry_after_seconds is None


def test_what_is_not_a_problem_document_is_an_error_without_a_detail() -> None:
    for body in (b"[]", b"{", b""):
        made = problem_of(404, PROBLEM, body)
        assert (made.status, made.detail, made.of_server) == (404, "", False)


STREAM = (
    b": ping\n\nid: 1\nevent: delta\ndata: one \xe2\x80\xa8 two \xf0\x9f\xa6\x8a\r\n\r\n"
    b"data\rdata:  b\r\rid:2\nevent: end\n\nretry: 1\ndata: last\n\ndata: cut"
)
EVENTS = [
    RawEvent("delta", "one \u2028 two 🦊", "1"),
    RawEvent("message", "\n b", None),
    RawEvent("message", "last", None),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_the_same_however_the_bytes_come(size: int) -> None:
    parser = EventParser()
    chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]

    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


def test_a_body_is_utf8_but_for_what_utf8_cannot_say() -> None:
    assert encoded({"a": "ä🦊"}) == '{"a": "ä🦊"}'.encode()
    assert json.loads(encoded({"a": "ä\ud83d"})) == {"a": "ä\ud83d"}
    with pytest.raises(ValueError, match="JSON"):
        encoded({"a": float("nan")})


def test_ones_own_id_is_one_segment_of_a_path() -> None:
    assert segment(7) == "7"
    assert segment("a/b?c ä..") == "ext:a%2Fb%3Fc%20%C3%A4.."


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_package_needs_httpx_and_nothing_of_the_server(source: Path) -> None:
    allowed = {"httpx", "verbatim_client", *sys.stdlib_module_names}
    allowed |= EXTRAS.get(source.stem, set())
    tree = ast.parse(source.read_text())
    names = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert {name.partition(".")[0] for name in names} <= allowed
