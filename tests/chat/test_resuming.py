"""Streams that are cut, repeated or asked for again: the whole text once, and then an end."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.chat.events import STREAM, Event, events, say, text_of
from tests.support.api import Api, StartApi
from tests.support.log_contents import said

LONG = {"message": "a " * 60}


@pytest.fixture(scope="module")
def slow_api(start_api: StartApi) -> Api:
    """An API whose assistant takes 10 ms for a word."""
    return start_api(demo_word_ms=10)


@pytest.fixture
def ada(slow_api: Api) -> Iterator[httpx.Client]:
    with closing(slow_api.person()) as client:
        yield client


def watch(client: httpx.Client, session: str, turn: int, after: str) -> httpx.Response:
    return client.get(
        f"/api/chat/{session}/stream", params={"turn": turn}, headers={"Last-Event-ID": after}
    )


def conversation_of(session: str) -> int:
    return int(session.removeprefix("sess_"), 16)


def cut(response: httpx.Response, most: int) -> list[Event]:
    """The first events of a stream, whose rest is not read."""
    seen = []
    for event in events(response):
        seen.append(event)
        if len(seen) == most:
            break
    return seen


def test_a_stream_that_is_cut_twice_gives_the_whole_text_once(
    ada: httpx.Client, session: str
) -> None:
    """As an EventSource does it: the last id that came, `start` included, is sent back."""
    path = f"/api/chat/{session}/message"
    with ada.stream("POST", path, json=LONG, headers=STREAM) as response:
        seen = cut(response, 3)
    turn = seen[0]["data"]["messageId"]
    # The second connection is cut right after its `start`.
    for most in (1, 10**6):
        headers = {"Last-Event-ID": seen[-1]["id"]}
        stream = f"/api/chat/{session}/stream"
        with ada.stream("GET", stream, params={"turn": turn}, headers=headers) as response:
            seen += cut(response, most)

    assert [event["event"] for event in seen].count("start") == 3
    assert text_of(seen) == seen[-1]["data"]["response"]


def test_a_stream_tells_where_it_goes_on_from(ada: httpx.Client, session: str) -> None:
    seen = say(ada, session, "Hello")
    turn = seen[0]["data"]["messageId"]

    assert seen[0]["id"] == "0"
    assert next(events(watch(ada, session, turn, "7")))["id"] == "7"


def test_who_has_received_the_end_gets_204(ada: httpx.Client, session: str) -> None:
    seen = say(ada, session, "Hello")
    turn, end = seen[0]["data"]["messageId"], seen[-1]

    assert end["id"] == str(len(end["data"]["response"]) + 1)
    assert watch(ada, session, turn, end["id"]).status_code == 204
    # All of the text, but not the end: it is told once more.
    again = list(events(watch(ada, session, turn, str(len(end["data"]["response"])))))
    assert [event["event"] for event in again] == ["start", "end"]


def test_a_request_repeated_with_its_key_goes_on_after_the_last_event(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    path = f"/api/chat/{session}/message"
    key = {"Idempotency-Key": "mine"}
    with ada.stream("POST", path, json=LONG, headers=STREAM | key) as response:
        seen = cut(response, 3)

    known = {"Last-Event-ID": seen[-1]["id"]}
    rest = say(ada, session, LONG["message"], **key, **known)
    ended = ada.post(path, json=LONG, headers=STREAM | key | {"Last-Event-ID": rest[-1]["id"]})

    assert text_of(seen) + text_of(rest) == rest[-1]["data"]["response"]
    assert ended.status_code == 204
    assert said(slow_api, conversation_of(session)) == [
        ("user", LONG["message"]),
        ("assistant", rest[-1]["data"]["response"]),
    ]


@pytest.mark.parametrize("headers", [STREAM, {}])
def test_a_reconnection_without_a_key_is_no_message(
    ada: httpx.Client, slow_api: Api, session: str, headers: dict[str, Any]
) -> None:
    path = f"/api/chat/{session}/message"

    answer = ada.post(path, json=LONG, headers=headers | {"Last-Event-ID": "0"})

    assert (answer.status_code, answer.content) == (204, b"")
    assert said(slow_api, conversation_of(session)) == []


def test_a_proxy_that_compresses_is_told_to_leave_a_stream_alone(
    ada: httpx.Client, session: str
) -> None:
    path = f"/api/chat/{session}/message"
    with ada.stream("POST", path, json={"message": "Hello"}, headers=STREAM) as response:
        assert response.headers["cache-control"] == "private, no-store, no-transform"


def test_a_heartbeat_is_a_comment_alone(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty line after it, some clients take it for an event without data."""
    monkeypatch.setattr("api.chat.streaming.subscriber.SILENCE_SECONDS", 0.05)
    silent = start_api(demo_word_ms=200)
    with closing(silent.person()) as ada:
        session = ada.post("/api/chat/start").json()["sessionId"]
        path = f"/api/chat/{session}/message"
        with ada.stream("POST", path, json={"message": "Hello"}, headers=STREAM) as response:
            lines = []
            for line in response.iter_lines():
                lines.append(line)
                if lines.count(": ping") == 3:
                    break

    start = lines.index("")
    assert lines[start + 1 :] == [": ping"] * 3
