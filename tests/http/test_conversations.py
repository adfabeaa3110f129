"""Conversations and messages, from the POST to the GET."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.usefixtures("drained")

UNICODE = "a\u0301 👩‍👩‍👧‍👦 \u202e\ufeff\ufffe\U0010ffff \r\n\t 'quoted' \\u0041 %s $1 <b> 漢"


@pytest.fixture
def conversation(ada: httpx.Client) -> int:
    return int(ada.post("/api/conversations/", json={}).json()["id"])


@pytest.fixture
def path(conversation: int) -> str:
    return f"/api/conversations/{conversation}"


@pytest.fixture
def add(ada: httpx.Client, path: str) -> Callable[..., dict[str, Any]]:
    def adding(content: str, role: str = "user", **headers: str) -> dict[str, Any]:
        body = {"role": role, "content": content}
        answer = ada.post(f"{path}/messages", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    return adding


Add = Callable[..., dict[str, Any]]


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def is_now(time: str) -> bool:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", time)
    return abs(datetime.fromisoformat(time) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("body", [{}, {"title": None}, {"title": "Groceries 🥛"}, None])
def test_a_conversation_is_opened_and_read_at_once(
    ada: httpx.Client, body: dict[str, Any] | None
) -> None:
    opened = (
        ada.post("/api/conversations/", json=body)
        if body is not None
        else ada.post("/api/conversations/")
    )
    read = get(ada, f"/api/conversations/{opened.json()['id']}")

    assert opened.status_code == 202
    assert opened.json() == read
    assert read == {
        "id": read["id"],
        "user_id": get(ada, "/auth/me")["id"],
        "title": (body or {}).get("title"),
        "created_at": read["created_at"],
        "updated_at": read["created_at"],
        "message_count": 0,
        **dict.fromkeys(("external_id", "metadata", "tags", "archived_at", "pinned_at")),
        **dict.fromkeys(("expires_in_days", "forked_from", "forked_at")),
    }
    assert 2**41 < read["id"] < 2**53
    assert is_now(read["created_at"])


def test_the_path_with_and_without_a_slash_is_the_same(ada: httpx.Client) -> None:
    without = ada.post("/api/conversations", json={})

    assert without.status_code == 202
    assert get(ada, "/api/conversations", read_after=without.json()["id"])["total"] == 1


def test_a_message_is_accepted_and_then_read(
    ada: httpx.Client, conversation: int, path: str, add: Add
) -> None:
    accepted = add(UNICODE)
    read = get(ada, f"{path}/messages", read_after=accepted["id"])

    assert accepted == {
        "id": accepted["id"],
        "user_id": get(ada, "/auth/me")["id"],
        "conversation_id": conversation,
        "role": "user",
        "content": UNICODE,
        "created_at": accepted["created_at"],
        "status": "queued",
        "external_id": None,
    }
    unused = {"external_id": None, "extra": None, "edited_at": None, "aside": 0, "feedback": None}
    assert read == {
        "messages": [{**accepted, "position": 1, "status": "stored", **unused}],
        "total": 1,
        "limit": 50,
        "offset": 0,
    }


def test_messages_keep_the_order_in_which_they_were_accepted(
    ada: httpx.Client, path: str, add: Add
) -> None:
    sent = [add(f"message {n}", role=("user", "assistant")[n % 2]) for n in range(60)]

    read = get(ada, f"{path}/messages", read_after=sent[-1]["id"], limit=100)["messages"]

    assert [message["id"] for message in read] == [message["id"] for message in sent]
    assert [message["position"] for message in read] == list(range(1, 61))
    assert [message["role"] for message in read[:2]] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"limit": 2}, [1, 2]),
        ({"limit": 2, "offset": 3}, [4, 5]),
        ({"offset": 9}, []),
        ({"order": "desc", "limit": 2}, [5, 4]),
        ({"order": "desc", "limit": 2, "offset": 1}, [4, 3]),
        ({"after": 3}, [4, 5]),
        ({"after": 0, "limit": 1}, [1]),
        ({"after": 5}, []),
        ({"before": 3}, [1, 2]),
        ({"before": 5, "limit": 2}, [3, 4]),
        ({"before": 5, "limit": 2, "order": "desc"}, [4, 3]),
        ({"after": 2, "limit": 2, "order": "desc"}, [4, 3]),
    ],
)
def test_a_page_is_what_was_asked_for(
    ada: httpx.Client, path: str, add: Add, query: dict[str, Any], positions: list[int]
) -> None:
    last = [add(str(n)) for n in range(1, 6)][-1]

    page = get(ada, f"{path}/messages", read_after=last["id"], **query)

    assert [message["position"] for message in page["messages"]] == positions
    assert [message["content"] for message in page["messages"]] == [str(p) for p in positions]
    assert (page["total"], page["limit"], page["offset"]) == (
        5,
        query.get("limit", 50),
        query.get("offset", 0),
    )


def test_a_key_makes_a_repeated_message_one(ada: httpx.Client, path: str, add: Add) -> None:
    first = add("once", **{"Idempotency-Key": "k"})
    again = add("once", **{"Idempotency-Key": "k"})
    other = ada.post(
        f"{path}/messages",
        json={"role": "user", "content": "twice"},
        headers={"Idempotency-Key": "k"},
    )

    assert again == first
    assert other.status_code == 409
    assert get(ada, f"{path}/messages", read_after=first["id"])["total"] == 1


@pytest.mark.parametrize("key", ["x" * 255, " ", "~!@#$%^&*()", "a:b:c"])
def test_any_printable_key_is_taken(ada: httpx.Client, add: Add, key: str) -> None:
    """A key that is blank at its ends arrives without the blanks, as HTTP has it."""
    key = key.strip() or "blank"

    assert add("x", **{"Idempotency-Key": key}) == add("x", **{"Idempotency-Key": key})


def test_a_key_makes_every_write_one(ada: httpx.Client, path: str) -> None:
    key = {"Idempotency-Key": "k"}

    opened = [
        ada.post("/api/conversations/", json={"title": "T"}, headers=key).json() for _ in range(2)
    ]
    started = [ada.post("/api/chat/start", headers={"Idempotency-Key": "s"}) for _ in range(2)]
    renamed = [
        ada.patch(path, json={"title": "New"}, headers={"Idempotency-Key": "r"}) for _ in range(2)
    ]
    deleted = [ada.delete(path, headers={"Idempotency-Key": "d"}) for _ in range(2)]

    for first, again in (
        opened,
        started_bodies(started),
        started_bodies(renamed),
        started_bodies(deleted),
    ):
        assert first == again
    assert len({body["id"] for body in opened}) == 1
    conflict = ada.post("/api/conversations/", json={"title": "U"}, headers=key)
    assert conflict.status_code == 409


def started_bodies(answers: list[httpx.Response]) -> list[Any]:
    assert all(answer.is_success for answer in answers)
    return [answer.json() for answer in answers]


def test_a_conversation_is_renamed(ada: httpx.Client, conversation: int, path: str) -> None:
    renamed = ada.patch(path, json={"title": "名前 🥛"})
    read = get(ada, path, read_after=renamed.json()["entry_id"])

    assert renamed.status_code == 202
    assert renamed.json() == {"id": conversation, "entry_id": renamed.json()["entry_id"]}
    assert read["title"] == "名前 🥛"
    assert read["updated_at"] > read["created_at"]


def test_a_deleted_conversation_is_gone_and_stays_gone(
    ada: httpx.Client, conversation: int, path: str, add: Add
) -> None:
    add("hello")

    deleted = ada.delete(path)
    again = ada.delete(path)
    entry = again.json()["entry_id"]

    assert deleted.status_code == again.status_code == 202
    assert deleted.json()["id"] == conversation
    assert ada.get(path, params={"read_after": entry}).status_code == 404
    assert ada.get(f"{path}/messages", params={"read_after": entry}).status_code == 404
    assert ada.post(f"{path}/messages", json={"role": "user", "content": "x"}).status_code == 404
    assert ada.patch(path, json={"title": "x"}).status_code == 404
    assert get(ada, "/api/conversations/", read_after=entry)["total"] == 0


def test_the_list_is_ordered_and_paged(ada: httpx.Client) -> None:
    ids = [ada.post("/api/conversations/", json={"title": str(n)}).json()["id"] for n in range(5)]
    touched = ada.post(
        f"/api/conversations/{ids[0]}/messages", json={"role": "user", "content": "x"}
    ).json()["id"]
    after = {"read_after": [*ids, touched]}

    def listed(**query: Any) -> list[int]:
        page = get(ada, "/api/conversations/", **after, **query)
        assert page["total"] == 5
        return [found["id"] for found in page["conversations"]]

    assert listed() == [ids[0], *reversed(ids[1:])]
    assert listed(sort="created_at") == list(reversed(ids))
    assert listed(sort="created_at", order="asc") == ids
    assert listed(sort="created_at", order="asc", limit=2, offset=1) == ids[1:3]


def test_cursors_walk_the_whole_list(ada: httpx.Client) -> None:
    ids = [ada.post("/api/conversations/", json={}).json()["id"] for _ in range(7)]
    query: dict[str, Any] = {"limit": 3, "sort": "created_at", "read_after": ids}
    walked = []

    while True:
        page = get(ada, "/api/conversations/", **query)
        walked += [found["id"] for found in page["conversations"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert walked == list(reversed(ids))
    other_order = ada.get("/api/conversations/", params={**query, "order": "asc"})
    assert other_order.status_code == 400


def test_somebody_elses_conversation_is_like_one_that_does_not_exist(
    ada: httpx.Client, eve: httpx.Client, path: str, add: Add
) -> None:
    entry = add("secret")["id"]
    get(ada, path, read_after=entry)
    requests: list[Callable[[str], httpx.Response]] = [
        eve.get,
        lambda p: eve.get(f"{p}/messages"),
        lambda p: eve.post(f"{p}/messages", json={"role": "user", "content": "x"}),
        lambda p: eve.patch(p, json={"title": "mine"}),
        eve.delete,
    ]

    for request in requests:
        foreign, unknown = request(path), request("/api/conversations/7")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.content == unknown.content
    assert get(eve, "/api/conversations/", read_after=entry)["total"] == 0
    assert get(ada, f"{path}/messages")["total"] == 1


def test_100_000_emoji_fit(ada: httpx.Client, path: str, add: Add) -> None:
    emoji = "😀" * 100_000

    accepted = add(emoji)
    [read] = get(ada, f"{path}/messages", read_after=accepted["id"])["messages"]

    assert read["content"] == accepted["content"] == emoji
