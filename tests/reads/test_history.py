"""A chat session's history."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.usefixtures("drained")


@pytest.fixture
def session(ada: httpx.Client) -> dict[str, Any]:
    return dict(ada.post("/api/chat/start").json())


def add(client: httpx.Client, session: dict[str, Any], role: str, content: str) -> int:
    path = f"/api/conversations/{session['conversationId']}/messages"
    return int(client.post(path, json={"role": role, "content": content}).json()["id"])


def history(client: httpx.Client, session: dict[str, Any], **query: Any) -> Any:
    answer = client.get(f"/api/chat/{session['sessionId']}/history", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_session_that_was_just_started_has_an_empty_history(
    ada: httpx.Client, session: dict[str, Any]
) -> None:
    assert session["message"]
    assert history(ada, session) == {
        "messages": [],
        "totalCount": 0,
        "sessionId": session["sessionId"],
        "conversationId": session["conversationId"],
    }


def test_a_turn_is_two_messages_oldest_first(ada: httpx.Client, session: dict[str, Any]) -> None:
    turn = ada.post(f"/api/chat/{session['sessionId']}/message", json={"message": "Buy 🥛"}).json()

    found = history(ada, session, read_after=turn["replyId"])

    [asked, answered] = found["messages"]
    assert asked == {
        "id": turn["messageId"],
        "sessionId": session["sessionId"],
        "sender": "user",
        "content": "Buy 🥛",
        "timestamp": asked["timestamp"],
        "intent": None,
        "processed": True,
    }
    assert (answered["id"], answered["sender"]) == (turn["replyId"], "ai")
    assert answered["content"] == turn["response"]
    assert answered["processed"] is True
    assert asked["timestamp"] <= answered["timestamp"]
    assert asked["timestamp"].endswith("Z")
    assert found["totalCount"] == 2


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, range(11, 61)),
        ({"limit": 3}, range(1, 4)),
        ({"limit": 3, "offset": 57}, range(58, 61)),
        ({"offset": 55}, range(56, 61)),
        ({"limit": 50, "offset": 0}, range(1, 51)),
    ],
)
def test_without_limit_and_offset_it_is_the_latest_50(
    ada: httpx.Client, session: dict[str, Any], query: dict[str, int], expected: range
) -> None:
    last = [add(ada, session, "user", str(n)) for n in range(1, 61)][-1]

    found = history(ada, session, read_after=last, **query)

    assert [message["content"] for message in found["messages"]] == [str(n) for n in expected]
    assert found["totalCount"] == 60


def test_a_question_is_processed_once_an_answer_was_accepted(
    ada: httpx.Client, session: dict[str, Any]
) -> None:
    roles = ["user", "assistant", "user", "assistant", "user"]
    last = [add(ada, session, role, "x") for role in roles][-1]

    everything = history(ada, session, read_after=last)["messages"]
    page_ending_on_a_question = history(ada, session, limit=1, offset=2)["messages"]

    assert [m["processed"] for m in everything] == [True, True, True, True, False]
    assert [m["processed"] for m in page_ending_on_a_question] == [True]


def test_the_history_of_an_ended_session_stays_readable(
    ada: httpx.Client, session: dict[str, Any]
) -> None:
    add(ada, session, "user", "hello")

    ended = ada.delete(f"/api/chat/{session['sessionId']}").json()
    found = history(ada, session, read_after=ended["entryId"])
    refused = ada.post(f"/api/chat/{session['sessionId']}/message", json={"message": "x"})

    assert [message["content"] for message in found["messages"]] == ["hello"]
    assert refused.status_code == 409


def test_somebody_elses_history_is_404(
    ada: httpx.Client, eve: httpx.Client, session: dict[str, Any]
) -> None:
    history(ada, session, read_after=add(ada, session, "user", "secret"))

    answer = eve.get(f"/api/chat/{session['sessionId']}/history")

    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_session_and_its_conversation_are_the_same(
    ada: httpx.Client, session: dict[str, Any]
) -> None:
    added = add(ada, session, "assistant", "from the other side")

    [message] = history(ada, session, read_after=added)["messages"]

    assert (message["id"], message["sender"]) == (added, "ai")
