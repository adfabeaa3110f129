"""Searching in one's own messages, over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.api import Api

pytestmark = pytest.mark.usefixtures("drained")

#: Title → the messages of a conversation, by user and assistant in turn.
TALKS = {
    "Travel plans": ["Where is the next train to Zürich?", "The train leaves at noon."],
    "火车": ["我想订一张火车票", "好的"],
    "Code": ["What does getUserName do?", "It reads user_name from the session."],
}


@pytest.fixture(scope="module")
def searcher(api: Api) -> Iterator[httpx.Client]:
    """Somebody with talks, beside somebody else who has the same ones."""
    people = [api.person() for _ in range(2)]
    last = 0
    for person in people:
        for title, contents in TALKS.items():
            opened = person.post("/api/conversations/", json={"title": title, "tags": [title]})
            batch = [
                {"role": role, "content": content}
                for role, content in zip(("user", "assistant"), contents, strict=True)
            ]
            path = f"/api/conversations/{opened.json()['id']}/messages/batch"
            last = person.post(path, json={"messages": batch}).json()["entry_id"]
        assert search(person, "zurich", read_after=last)["hits"]
    yield people[0]
    for person in people:
        person.close()


def search(client: httpx.Client, q: str, **query: Any) -> Any:
    answer = client.get("/api/search", params={"q": q, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(found: Any) -> list[tuple[str, int]]:
    return [(hit["title"], hit["position"]) for hit in found["hits"]]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("train ", {("Travel plans", 1), ("Travel plans", 2)}),
        ("TRAIN noon", {("Travel plans", 2)}),
        ('"next train"', {("Travel plans", 1)}),
        ('"train next"', set()),
        ("train -noon", {("Travel plans", 1)}),
        ("zuri", {("Travel plans", 1)}),
        ("travel", {("Travel plans", 0)}),
        ("火车", {("火车", 0), ("火车", 1)}),
        ("getUserName ", {("Code", 1)}),
        ("user name", {("Code", 1), ("Code", 2)}),
        ("plane", set()),
    ],
)
def test_what_is_found(searcher: httpx.Client, q: str, found: set[tuple[str, int]]) -> None:
    hits = search(searcher, q)

    assert set(shown(hits)) == found
    assert len(hits["hits"]) == len(found)
    assert hits["next_cursor"] is None


def test_a_hit_shows_where_it_is(searcher: httpx.Client) -> None:
    [hit] = search(searcher, '"next train"')["hits"]
    page = searcher.get(f"/api/conversations/{hit['conversation_id']}/messages").json()

    assert (hit["message_id"], hit["created_at"]) == (
        page["messages"][0]["id"],
        page["messages"][0]["created_at"],
    )
    assert hit["role"] == "user"
    assert hit["snippet"] == page["messages"][0]["content"]
    assert [hit["snippet"][start:end] for start, end in hit["marks"]] == ["next", "train"]


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ({}, {1, 2}),
        ({"role": "user"}, {1}),
        ({"role": "tool"}, set()),
        ({"tag": "Travel plans"}, {1, 2}),
        ({"tag": "Code"}, set()),
        ({"archived": "true"}, set()),
        ({"archived": "false"}, {1, 2}),
        ({"from": "2020-01-01T00:00:00Z"}, {1, 2}),
        ({"to": "2020-01-01T00:00:00Z"}, set()),
        ({"from": "2100-01-01T00:00:00Z"}, set()),
        ({"conversation": 1}, set()),
    ],
)
def test_filters(searcher: httpx.Client, query: dict[str, Any], positions: set[int]) -> None:
    hits = search(searcher, "train ", **query)

    assert {hit["position"] for hit in hits["hits"]} == positions


def test_one_conversation_is_searched(searcher: httpx.Client) -> None:
    [hit] = search(searcher, "noon")["hits"]
    hits = search(searcher, "train", conversation=hit["conversation_id"])

    assert {position for _, position in shown(hits)} == {1, 2}


@pytest.mark.parametrize("order", ["relevance", "time"])
def test_pages_show_each_hit_once(api: Api, order: str) -> None:
    with api.person() as person:
        opened = person.post("/api/conversations/", json={}).json()["id"]
        batch = {"messages": [{"role": "user", "content": f"apple {n}"} for n in range(7)]}
        path = f"/api/conversations/{opened}/messages"
        written = person.post(f"{path}/batch", json=batch).json()["entry_id"]
        positions: list[int] = []
        query: dict[str, Any] = {"order": order, "limit": 3, "read_after": written}
        while True:
            page = search(person, "apple", **query)
            positions += [hit["position"] for hit in page["hits"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]

    assert positions == [7, 6, 5, 4, 3, 2, 1]


def test_the_more_relevant_comes_first_and_a_title_before_a_message(api: Api) -> None:
    with api.person() as person:
        opened = person.post("/api/conversations/", json={"title": "apple"}).json()["id"]
        contents = ["apple apple pie", "an apple among many other words that say nothing of it"]
        batch = {"messages": [{"role": "user", "content": content} for content in contents]}
        path = f"/api/conversations/{opened}/messages"
        written = person.post(f"{path}/batch", json=batch).json()["entry_id"]

        by_relevance = search(person, "apple", read_after=written)
        by_time = search(person, "apple", order="time")

    assert [hit["position"] for hit in by_relevance["hits"]] == [0, 1, 2]
    assert [hit["position"] for hit in by_time["hits"]] == [2, 1, 0]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"q": ""},
        {"q": "-apple"},
        {"q": '"?"'},
        {"q": "x" * 256},
        {"q": "a b " * 20},
        {"q": "a\0b"},
        {"q": "a", "role": "nobody"},
        {"q": "a", "order": "luck"},
        {"q": "a", "limit": 0},
        {"q": "a", "limit": 51},
        {"q": "a", "from": "yesterday"},
        {"q": "a", "from": "2020-01-01T00:00:00"},
        {"q": "a", "conversation": 0},
    ],
)
def test_bad_queries_are_refused(searcher: httpx.Client, query: dict[str, Any]) -> None:
    answer = searcher.get("/api/search", params=query)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("cursor", ["", "x", "cjA", "ZDE", "cjAx"])
@pytest.mark.parametrize("order", ["relevance", "time"])
def test_a_cursor_that_was_not_given_out_is_refused(
    searcher: httpx.Client, cursor: str, order: str
) -> None:
    query = {"q": "a", "cursor": cursor, "order": order}
    answer = searcher.get("/api/search", params=query)

    assert answer.status_code == 400, answer.text


def test_nothing_is_found_of_what_was_deleted(api: Api) -> None:
    with api.person() as person:
        opened = person.post("/api/conversations/", json={"title": "apple"}).json()["id"]
        path = f"/api/conversations/{opened}"
        body = {"role": "user", "content": "apple"}
        written = person.post(f"{path}/messages", json=body).json()["id"]
        before = search(person, "apple", read_after=written)
        deleted = person.delete(path).json()["entry_id"]
        after = search(person, "apple", read_after=deleted)

    assert (len(before["hits"]), after["hits"]) == (2, [])
