"""Answers with more than text over HTTP: what a client was shown is what is stored."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from api.chat import running_turns
from api.core import accept_calls
from api.core.accept_requests import AcceptRequest
from api.core.turns import Said, TurnName, said_arguments
from tests.chat.events import STREAM, Event, events, say, text_of
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.log_requests import submit

PARTS = [
    {
        "type": "tool_call",
        "at": 0,
        "id": "call_1",
        "name": "count_messages",
        "arguments": '{"role": "user"}',
    },
    {"type": "tool_result", "at": 0, "id": "call_1", "content": "0"},
]
EXTRA = {"format": "verbatim/1", "parts": PARTS}
ASKED = "Please use a tool"


@pytest.fixture(scope="module")
def slow_api(start_api: StartApi) -> Api:
    """An API whose assistant takes 20 ms for a word."""
    return start_api(demo_word_ms=20)


@pytest.fixture
def ada(slow_api: Api) -> Iterator[httpx.Client]:
    with closing(slow_api.person()) as client:
        yield client


def parts_of(seen: list[Event]) -> list[dict[str, Any]]:
    """Return the parts that were shown; each has its index."""
    told = [event["data"] for event in seen if event["event"] == "part"]
    assert [one["index"] for one in told] == [*range(len(told))]
    return [one["part"] for one in told]


def told_of(turn: int) -> dict[str, Any]:
    """Return what a streamed answer has beside its text."""
    return EXTRA | {"turn": turn}


def stored_extra(api: Api, client: httpx.Client, session: str, reply: int) -> Any:
    """Return what PostgreSQL has of an answer, once it is there."""
    path = f"/api/conversations/{int(session.removeprefix('sess_'), 16)}/messages"
    query: dict[str, str | int] = {
        "order": "desc",
        "limit": 1,
        "extra": "true",
        "read_after": reply,
    }
    with draining(api.settings):
        [message] = client.get(path, params=query).json()["messages"]
    assert message["id"] == reply
    return message["extra"]


def test_an_answer_tells_what_is_stored_beside_its_text(
    slow_api: Api, ada: httpx.Client, session: str
) -> None:
    def asked() -> Any:
        headers = {"Idempotency-Key": "one"}
        path = f"/api/chat/{session}/message"
        return ada.post(path, json={"message": ASKED}, headers=headers).json()

    first = asked()
    from_the_log = asked()
    stored = stored_extra(slow_api, ada, session, first["replyId"])
    from_postgresql = asked()

    assert first["extra"] == stored == EXTRA
    assert first == from_the_log == from_postgresql


def test_a_plain_answer_has_none_and_a_streamed_one_tells_what_it_answers(
    slow_api: Api, ada: httpx.Client, session: str
) -> None:
    whole = ada.post(f"/api/chat/{session}/message", json={"message": "Buy milk"}).json()
    start, *_, end = say(ada, session, "Buy milk")

    assert whole["extra"] is None
    assert end["data"]["extra"] == {"format": "verbatim/1", "turn": start["data"]["messageId"]}
    assert stored_extra(slow_api, ada, session, end["data"]["replyId"]) == end["data"]["extra"]


def test_who_asks_for_parts_is_shown_them_before_the_words(
    slow_api: Api, ada: httpx.Client, session: str
) -> None:
    seen = say(ada, session, ASKED, "?parts=true")

    kinds = [event["event"] for event in seen]
    assert kinds[:4] == ["start", "part", "part", "delta"]
    assert parts_of(seen) == PARTS
    assert not any("id" in event for event in seen if event["event"] == "part")
    end = seen[-1]["data"]
    told = told_of(seen[0]["data"]["messageId"])
    assert (end["extra"], end["response"]) == (told, text_of(seen))
    assert stored_extra(slow_api, ada, session, end["replyId"]) == told


def test_who_does_not_ask_for_parts_sees_the_events_of_before(
    ada: httpx.Client, session: str
) -> None:
    seen = say(ada, session, ASKED)

    assert {event["event"] for event in seen} == {"start", "delta", "end"}
    assert seen[-1]["data"]["extra"] == told_of(seen[0]["data"]["messageId"])


def test_a_stream_that_is_resumed_tells_all_parts_and_the_rest_of_the_text(
    slow_api: Api, start_api: StartApi, ada: httpx.Client, session: str
) -> None:
    known = slow_api.settings
    other = start_api(database_url=known.database_url, log_namespace=known.log_namespace)
    path = f"/api/chat/{session}/message"
    with ada.stream("POST", path, json={"message": ASKED}, headers=STREAM) as response:
        live = events(response)
        turn, first = next(live)["data"]["messageId"], next(live)

    def again(client: httpx.Client) -> list[Event]:
        query = {"turn": turn, "parts": "true"}
        headers = {"Last-Event-ID": first["id"]}
        with client.stream(
            "GET", f"/api/chat/{session}/stream", params=query, headers=headers
        ) as response:
            return list(events(response))

    with httpx.Client(base_url=other.url, headers=ada.headers) as elsewhere:
        running, finished = again(elsewhere), again(elsewhere)

    for seen in (running, finished):
        assert parts_of(seen) == PARTS
        end = seen[-1]["data"]
        assert first["data"]["text"] + text_of(seen) == end["response"]
        assert end["extra"] == told_of(turn)


def test_the_parts_that_a_dead_process_told_are_stored_by_another(
    slow_api: Api, ada: httpx.Client, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_turns, "GRACE_MS", 0)
    with monkeypatch.context() as shortly:
        shortly.setattr(accept_calls, "LEASE_MS", 100)
        turn = left_behind(slow_api, ada, session).id

    stream: dict[str, str | int] = {"turn": turn, "parts": "true"}
    seen = list(events(ada.get(f"/api/chat/{session}/stream", params=stream)))

    assert parts_of(seen) == PARTS
    end = seen[-1]["data"]
    told = told_of(turn)
    assert (end["response"], end["status"], end["extra"]) == ("Once", "interrupted", told)
    assert stored_extra(slow_api, ada, session, end["replyId"]) == told


def test_whoever_asks_again_gets_the_parts_that_were_told_and_no_other_answer(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    name = left_behind(slow_api, ada, session, key="one")
    assert slow_api.log.run("lease", name.id, "dead", name.member, 0) == 1

    seen = say(ada, session, "Go", "?parts=true", **{"Idempotency-Key": "one"})

    end = seen[-1]["data"]
    assert parts_of(seen) == PARTS
    assert (end["response"], end["extra"]) == ("Once", told_of(name.id))
    assert stored_extra(slow_api, ada, session, end["replyId"]) == told_of(name.id)


def test_a_stopped_answer_keeps_its_parts(ada: httpx.Client, session: str) -> None:
    path = f"/api/chat/{session}/message?parts=true"
    with ada.stream("POST", path, json={"message": ASKED}, headers=STREAM) as response:
        live = events(response)
        seen = [next(live) for _ in range(3)]
        ada.post(f"/api/chat/{session}/stop")
        seen += live

    end = seen[-1]["data"]
    assert end["status"] == "interrupted"
    assert parts_of(seen) == end["extra"]["parts"]


def left_behind(api: Api, client: httpx.Client, session: str, key: str = "") -> TurnName:
    """Leave a turn as a process does that is killed after two parts and a word."""
    owner = client.get("/auth/me").json()["id"]
    request = AcceptRequest(
        *("add", owner, "turn", int(session.removeprefix("sess_"), 16), "user"),
        data=b"Go",
        key=key,
        lease="dead",
        streamed=True,
    )
    [accepted] = submit(api.log, request)
    name = TurnName(owner, request.conversation_id, accepted.id)
    told = [json.dumps({"index": n, "part": part}) for n, part in enumerate(PARTS)]
    # The second one twice, as after an answer that was lost.
    for said in (
        *(Said(0, "part", told[0]), Said(0, "part", told[1]), Said(0, "part", told[1])),
        Said(4, "delta", "Once"),
    ):
        assert api.log.run("say", *said_arguments(name, "dead", said)) == [1]
    return name
