"""Messages with roles, external ids and extra data of their own, one by one and in batches."""

import json
from typing import Any

import httpx
import pytest

from tests.support.api import Api

pytestmark = pytest.mark.usefixtures("drained")

#: What a parser changes: numbers, an escape that PostgreSQL's jsonb refuses, blanks, equal names.
EXTRA = '{"n": 1.10,  "big":123456789012345678901234567890, "nul":"\\u0000\\ud800", "a":1,"a":2}'
CANARY = "canary-4d1e"


@pytest.fixture
def path(ada: httpx.Client) -> str:
    return f"/api/conversations/{ada.post('/api/conversations/', json={}).json()['id']}/messages"


def post(client: httpx.Client, path: str, body: Any, **headers: str) -> httpx.Response:
    sent = body if isinstance(body, str) else json.dumps(body)
    return client.post(path, content=sent, headers={"Content-Type": "application/json"} | headers)


def page(client: httpx.Client, path: str, after: int, **query: Any) -> dict[str, Any]:
    answer = client.get(path, params={"read_after": after, **query})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_what_is_extra_comes_back_as_the_text_it_was(ada: httpx.Client, path: str) -> None:
    body = f'{{"extra" : {EXTRA} ,"role":"tool","external_id":"call-1"}}'
    added = post(ada, path, body).json()

    answer = ada.get(path, params={"read_after": added["id"]})

    assert f'"extra":{EXTRA}}}' in answer.text
    (message,) = answer.json()["messages"]
    assert (message["role"], message["content"], message["status"]) == ("tool", "", "stored")
    assert (message["external_id"], message["edited_at"], message["aside"]) == ("call-1", None, 0)
    (without,) = page(ada, path, added["id"], extra="false")["messages"]
    assert without == message | {"extra": None}


def test_a_batch_is_added_whole(ada: httpx.Client, path: str) -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "extra": {"calls": [1]}, "external_id": "x"},
        {"role": "tool", "content": "three", "external_id": None, "extra": None},
    ]

    answer = post(ada, f"{path}/batch", {"messages": messages})

    assert answer.status_code == 202
    batch = answer.json()
    assert batch["entry_id"] == batch["messages"][-1]["id"]
    stored = page(ada, path, batch["entry_id"])["messages"]
    assert [m["id"] for m in stored] == [m["id"] for m in batch["messages"]]
    assert [(m["role"], m["content"], m["extra"]) for m in stored] == [
        ("user", "one", None),
        ("assistant", "", {"calls": [1]}),
        ("tool", "three", None),
    ]
    found = page(ada, path, batch["entry_id"], external_id="x")
    assert found["messages"] == [stored[1]]
    assert found["total"] == 3


def test_an_external_id_serves_as_a_key(ada: httpx.Client, path: str) -> None:
    body = {"role": "user", "content": "once", "external_id": "mine"}
    first = post(ada, path, body)

    again = post(ada, path, body)
    in_a_batch = post(ada, f"{path}/batch", {"messages": [body]})
    other = post(ada, path, body | {"content": "twice"})
    named = post(
        ada,
        f"{path}/batch",
        {"messages": [{"role": "user", "content": "x"}, body | {"content": "y"}]},
    )

    assert (again.status_code, again.json()) == (202, first.json())
    assert in_a_batch.json()["messages"] == [first.json()]
    assert [answer.status_code for answer in (other, named)] == [409, 409]
    assert named.json()["detail"].startswith("messages.1: ")
    assert page(ada, path, first.json()["id"])["total"] == 1


def test_a_message_that_was_put_aside_is_repeated_as_what_it_is(
    ada: httpx.Client, path: str
) -> None:
    body = {"role": "user", "content": "once", "external_id": "mine"}
    first, edited = post(ada, path, body).json(), post(ada, path, body | {"external_id": "edit"})
    ada.put(f"{path}/ext:edit", json={"content": "changed"})
    ada.delete(f"{path}/ext:mine", params={"after": True, "keep": True})

    again, in_a_batch = post(ada, path, body), post(ada, f"{path}/batch", {"messages": [body]})
    edited_again = post(ada, path, body | {"external_id": "edit"})

    assert (again.status_code, again.json()) == (202, first)
    assert in_a_batch.json()["messages"] == [first]
    assert (edited_again.status_code, edited_again.json()) == (202, edited.json())
    assert page(ada, path, first["id"])["total"] == 0
    # Another text is another message: it takes the place.
    other = post(ada, path, body | {"content": "other"})
    assert [m["content"] for m in page(ada, path, other.json()["id"])["messages"]] == ["other"]


def test_a_message_that_is_shown_keeps_its_external_id_after_a_change(
    ada: httpx.Client, path: str
) -> None:
    body = {"role": "user", "content": "once", "external_id": "mine"}
    first = post(ada, path, body).json()
    changed = ada.put(f"{path}/{first['id']}", json={"content": "changed"}).json()["entry_id"]

    again, other = post(ada, path, body), post(ada, path, body | {"content": "other"})

    assert (again.status_code, again.json()) == (202, first)
    assert other.status_code == 409
    assert [m["content"] for m in page(ada, path, changed)["messages"]] == ["changed"]


def test_a_message_that_is_gone_is_added_again(ada: httpx.Client, path: str) -> None:
    batch = [{"role": "user", "content": n, "external_id": n} for n in ("a", "b")]
    first = post(ada, f"{path}/batch", {"messages": batch}).json()
    ada.delete(f"{path}/ext:b", params={"after": True})

    partly = post(ada, f"{path}/batch", {"messages": batch}).json()
    alone = post(ada, path, batch[1]).json()
    ada.delete(f"{path}/ext:a")
    removed = post(ada, path, batch[0]).json()

    # Of a batch of which a part is there nothing is added again.
    assert partly["entry_id"] == first["entry_id"]
    shown = page(ada, path, removed["id"])["messages"]
    assert [(m["content"], m["status"]) for m in shown] == [
        ("", "deleted"), ("b", "stored"), ("a", "stored")
    ]  # fmt: skip
    assert [m["id"] for m in shown[1:]] == [alone["id"], removed["id"]]


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


BAD: list[tuple[str, str]] = [
    (f'{{"role":"developer","content":"{CANARY}"}}', "role"),
    (f'{{"role":"user","extra":["{CANARY}"]}}', "extra"),
    (f'{{"role":"user","extra":"{CANARY}"}}', "extra"),
    (f'{{"role":"user","extra":{{"{CANARY}":NaN}}}}', "extra"),
    (f'{{"role":"user","extra":{deep(33)}}}', "extra"),
    (f'{{"role":"user","extra":{{"a":{deep(32)},"a":1}}}}', "extra"),
    (f'{{"role":"user","extra":{{"a":{deep(900)},"a":1}}}}', "extra"),
    (f'{{"role":"user","extra":{{"a":"{CANARY * 24_000}"}}}}', "extra"),
    ('{"role":"user"}', "content"),
    ('{"role":"user","content":"","external_id":"x"}', "content"),
    (f'{{"role":"user","content":"{CANARY}","external_id":""}}', "external_id"),
    (f'{{"role":"user","content":"{CANARY}","external_id":"{"x" * 256}"}}', "external_id"),
    (f'{{"role":"user","content":"{CANARY}","external_id":"\\u0000"}}', "external_id"),
]


@pytest.mark.parametrize(("element", "named"), BAD)
def test_what_is_not_allowed_is_refused_by_its_place(
    ada: httpx.Client, api: Api, path: str, element: str, named: str
) -> None:
    whole = f'{{"messages":[{{"role":"user","content":"{CANARY}"}},{element}]}}'

    alone, in_a_batch = post(ada, path, element), post(ada, f"{path}/batch", whole)

    for answer, place in ((alone, named), (in_a_batch, f"messages.1.{named}")):
        assert answer.status_code == 422, answer.text
        assert (
            place in answer.json()["detail"]
            or place.removesuffix(f".{named}") in (answer.json()["detail"])
        )
        assert CANARY not in answer.text
    end = post(ada, path, {"role": "user", "content": "end"}).json()["id"]
    assert page(ada, path, end)["total"] == 1  # nothing of it was stored


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": "x"}] * 101,
        [{"role": "user", "content": "x", "external_id": "a"}] * 2,
    ],
)
def test_a_batch_has_1_to_100_messages_with_ids_of_their_own(
    ada: httpx.Client, path: str, messages: list[dict[str, str]]
) -> None:
    assert post(ada, f"{path}/batch", {"messages": messages}).status_code == 422


def test_the_deepest_and_largest_that_is_allowed_is_stored(ada: httpx.Client, path: str) -> None:
    large = f'{{"a":"{"x" * (256 * 1024 - 8)}"}}'
    body = (
        f'{{"messages":[{{"role":"user","extra":{deep(32)}}},{{"role":"user","extra":{large}}},'
        f'{{"role":"user","extra":{{"a":{deep(31)},"a":1}}}}]}}'
    )

    batch = post(ada, f"{path}/batch", body).json()

    stored = page(ada, path, batch["entry_id"])["messages"]
    assert [message["extra"] for message in stored] == [
        *(json.loads(deep(32)), json.loads(large), {"a": 1})
    ]


@pytest.mark.parametrize("place", ["extra", "metadata"])
def test_what_an_equal_name_replaces_may_be_of_any_depth_that_parses(
    ada: httpx.Client, path: str, place: str
) -> None:
    """From some depth on it does not: that is said, whichever part of the server finds it."""
    to, rest = (path, '"role":"user",') if place == "extra" else ("/api/conversations/", "")

    statuses = [
        post(ada, to, f'{{{rest}"{place}":{deep(levels)},"{place}":{{}}}}').status_code
        for levels in (500, *range(930, 1000))
    ]

    assert statuses[0] == 202
    assert statuses == sorted(statuses)
    assert set(statuses) <= {202, 400}


def test_a_chat_shows_users_and_assistants_only(ada: httpx.Client) -> None:
    session = ada.post("/api/chat/start").json()
    path = f"/api/conversations/{session['conversationId']}/messages"
    roles = ["system", "user", "tool", "assistant", "tool", "user", "assistant"]
    batch = post(
        ada,
        f"{path}/batch",
        {"messages": [{"role": r, "content": str(n)} for n, r in enumerate(roles)]},
    ).json()
    history = f"/api/chat/{session['sessionId']}/history"

    latest = page(ada, history, batch["entry_id"])
    second = page(ada, history, batch["entry_id"], limit=2, offset=1)

    assert [message["content"] for message in latest["messages"]] == ["1", "3", "5", "6"]
    assert [message["processed"] for message in latest["messages"]] == [True] * 4
    assert latest["totalCount"] == 4
    assert [message["content"] for message in second["messages"]] == ["3", "5"]
    answer = ada.post(f"/api/chat/{session['sessionId']}/message", json={"message": "first?"})
    assert "2 messages of yours" in answer.json()["response"]
