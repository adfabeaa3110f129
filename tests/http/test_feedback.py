"""What one thinks of an answer, from the PUT to the GET."""

from typing import Any

import httpx
import pytest

from tests.support.api import Api

pytestmark = pytest.mark.usefixtures("drained")


@pytest.fixture
def path(ada: httpx.Client) -> str:
    """A conversation with a question and its answer."""
    opened = ada.post("/api/conversations/", json={}).json()["id"]
    path = f"/api/conversations/{opened}/messages"
    said = [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because.", "external_id": "answer/1"},
    ]
    added = ada.post(f"{path}/batch", json={"messages": said}).raise_for_status().json()
    ada.get(path, params={"read_after": added["entry_id"]}).raise_for_status()
    return path


def read(ada: httpx.Client, path: str, *after: httpx.Response) -> list[dict[str, Any]]:
    for answer in after:
        assert answer.status_code == 202, answer.text
    written = {"read_after": [answer.json()["entry_id"] for answer in after]}
    answer = ada.get(path, params=written)
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()["messages"]
    return messages


def test_feedback_is_given_replaced_and_taken_back(ada: httpx.Client, path: str) -> None:
    before = read(ada, path)
    rated = f"{path}/{before[1]['id']}/feedback"
    down = ada.put(rated, json={"rating": "down", "comment": 'Too "short" 🙁'})
    after_down = read(ada, path, down)
    up = ada.put(f"{path}/ext:answer%2F1/feedback", json={"rating": "up"})
    after_up = read(ada, path, up)
    back = ada.delete(rated)

    said = after_down[1]["feedback"]
    assert said.keys() == {"rating", "comment", "at"}
    assert (said["rating"], said["comment"]) == ("down", 'Too "short" 🙁')
    assert said["at"].endswith("Z")
    assert after_down[0] == before[0]
    assert after_down[1] == before[1] | {"feedback": said}
    assert after_up[1]["feedback"] == {
        "rating": "up",
        "comment": None,
        "at": after_up[1]["feedback"]["at"],
    }
    assert read(ada, path, back) == before
    assert ada.get("/api/export").text.count('"feedback": null') == 2


def test_only_answers_that_are_there_can_be_rated(
    ada: httpx.Client, eve: httpx.Client, path: str
) -> None:
    question, answer = (message["id"] for message in read(ada, path))
    up = {"rating": "up"}

    assert ada.put(f"{path}/{question}/feedback", json=up).status_code == 422
    assert ada.put(f"{path}/{answer - 4096}/feedback", json=up).status_code == 404
    assert eve.put(f"{path}/{answer}/feedback", json=up).status_code == 404
    for body in ({}, {"rating": "so-so"}, {"rating": "up", "comment": ""}, {**up, "more": 1}):
        assert ada.put(f"{path}/{answer}/feedback", json=body).status_code == 422
    assert ada.put(f"{path}/{answer}/feedback", json={**up, "comment": "x" * 2001}).status_code == (
        422
    )
    gone = ada.delete(f"{path}/{answer}")
    read(ada, path, gone)
    assert ada.put(f"{path}/{answer}/feedback", json=up).status_code == 404


def test_a_rating_goes_where_its_answer_goes(ada: httpx.Client, path: str) -> None:
    answer = read(ada, path)[1]["id"]
    rated = ada.put(f"{path}/{answer}/feedback", json={"rating": "up"})
    feedback = read(ada, path, rated)[1]["feedback"]

    aside = ada.delete(f"{path}/{answer}", params={"after": True, "keep": True})
    assert len(read(ada, path, aside)) == 1
    branches = path.removesuffix("/messages") + "/branches"
    back = ada.post(f"{branches}/{aside.json()['entry_id']}/switch")
    assert read(ada, path, back)[1]["feedback"] == feedback
    copy = ada.post(path.removesuffix("/messages") + "/fork", json={"position": 2}).json()["id"]
    assert [
        one["feedback"] for one in ada.get(f"/api/conversations/{copy}/messages").json()["messages"]
    ] == [None, None]
    gone = ada.delete(f"{path}/{answer}")
    assert read(ada, path, gone)[1]["feedback"] is None


def test_ratings_are_counted_once(api: Api, ada: httpx.Client, path: str) -> None:
    rated = f"{path}/{read(ada, path)[1]['id']}/feedback"
    key = {"Idempotency-Key": "once"}

    def counted() -> dict[str, str]:
        lines = httpx.get(f"{api.url}/metrics").text.splitlines()
        return dict(
            line.rsplit(" ", 1) for line in lines if line.startswith("verbatim_feedback_total{")
        )

    before = counted()
    for _ in range(2):
        answer = ada.put(rated, json={"rating": "up"}, headers=key)
        assert answer.status_code == 202
    after = counted()

    name = 'verbatim_feedback_total{rating="up"}'
    assert float(after[name]) == float(before.get(name, 0)) + 1
