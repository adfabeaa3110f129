"""Conversations and their items over OpenAI's protocol, byte by byte."""

import json
from typing import Any

import httpx
import pytest

from api.http.openai import names

pytestmark = pytest.mark.usefixtures("drained")

CANARY = "canary-90aa"
NO_ID = f"msg_{1:014x}"


@pytest.fixture
def path(ada: httpx.Client) -> str:
    return f"/v1/conversations/{ada.post('/v1/conversations', json={}).json()['id']}"


def post(client: httpx.Client, path: str, body: Any, **headers: str) -> httpx.Response:
    sent = body if isinstance(body, str) else json.dumps(body)
    return client.post(path, content=sent, headers={"Content-Type": "application/json"} | headers)


def said(*texts: str) -> dict[str, Any]:
    return {"items": [{"role": "user", "content": text} for text in texts]}


def texts(page: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]


def listed(client: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"{path}/items", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def own_messages(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Return what `/api` shows of a conversation."""
    number = names.conversation_named(path.rpartition("/")[2])
    found = client.get(f"/api/conversations/{number}/messages").json()["messages"]
    return list(found)


def test_an_item_comes_back_as_the_text_it_was(ada: httpx.Client, path: str) -> None:
    item = '{"type":"function_call", "id":"same","n":1.10,"big":12345678901234567890123,"a":1e999}'
    nul = '{"type":"function_call_output","status":"x","output":"\\u0000\\ud83d"}'

    added = post(ada, f"{path}/items", f'{{"items": [{item} , {nul}]}}')

    assert added.status_code == 200, added.text
    call, output = (one["id"] for one in listed(ada, path, order="asc")["data"])
    assert (call[:3], output[:4]) == ("fc_", "fco_")
    shown = ada.get(f"{path}/items/{call}").text
    assert shown == (
        f'{{"type":"function_call","id":"{call}","n":1.10,"big":12345678901234567890123,'
        '"a":1e999,"status":"completed"}'
    )
    assert shown in added.text
    assert shown in ada.get(f"{path}/items").text
    assert '"output":"\\u0000\\ud83d"' in added.text
    stored = own_messages(ada, path)
    assert [(one["role"], one["content"]) for one in stored] == [
        ("tool", ""), ("tool", "\ufffd\ufffd")
    ]  # fmt: skip


def test_a_message_is_a_message_wherever_it_was_written(ada: httpx.Client, path: str) -> None:
    number = names.conversation_named(path.rpartition("/")[2])
    messages = f"/api/conversations/{number}/messages"
    post(ada, f"{path}/items", said("from the SDK"))
    ada.post(messages, json={"role": "assistant", "content": "from the API"})

    page = listed(ada, path, order="asc")

    assert [(one["type"], one["role"], one["status"]) for one in page["data"]] == [
        ("message", "user", "completed"), ("message", "assistant", "completed")
    ]  # fmt: skip
    assert [one["content"] for one in page["data"]] == [
        [{"type": "input_text", "text": "from the SDK"}],
        [{"type": "output_text", "text": "from the API", "annotations": []}],
    ]
    # What was changed since is what is shown.
    first = own_messages(ada, path)[0]["id"]
    ada.put(f"{messages}/{first}", json={"content": "changed"})
    assert texts(listed(ada, path, order="asc")) == ["changed", "from the API"]


def test_who_speaks_is_known_to_a_chat(ada: httpx.Client, path: str) -> None:
    items = [
        {"role": "developer", "content": [{"type": "input_text", "text": "brief"}, {"x": 1}, 7]},
        {"role": ["odd"], "type": 3, "content": {}},
        {"role": "critic", "content": "hm"},
        {"type": "reasoning", "summary": []},
        {},
    ]

    assert post(ada, f"{path}/items", {"items": items}).status_code == 200
    shown = listed(ada, path, order="asc")["data"]

    assert [(one["role"], one["content"]) for one in own_messages(ada, path)] == [
        ("system", "brief"), ("tool", ""), ("assistant", "hm"), ("tool", ""), ("tool", "")
    ]  # fmt: skip
    assert [one["id"].partition("_")[0] for one in shown] == ["msg", "msg", "msg", "rs", "msg"]
    assert shown[-1].keys() == {"id"}


def test_a_batch_is_added_whole_or_not_at_all(ada: httpx.Client, path: str) -> None:
    large = {"role": "user", "content": [{"type": "input_image", "image_url": "x" * 300_000}]}
    deep: Any = 1
    for _ in range(31):
        deep = {"a": deep}
    bad = [
        ({"items": [*said("one")["items"], large]}, "items.1"),
        ({"items": [{"a": deep}]}, "items.0"),
        ({"items": [{"type": "item_reference", "id": NO_ID}]}, "items.0"),
        ({"items": [CANARY]}, "items.0"),
        ({"items": {CANARY: 1}}, "items"),
        ({"items": said("x")["items"] * 101}, "items"),
        (f'{{"items":[{{"{CANARY}":NaN}}]}}', "items.0"),
        ({"items": [], CANARY: 1}, ""),
        ({}, "items"),
        ('{"items":[', ""),
    ]

    for body, place in bad:
        answer = post(ada, f"{path}/items", body)
        assert answer.status_code == 400, answer.text
        assert place in answer.json()["error"]["message"]
        assert CANARY not in answer.text
    image = {"items": [{"role": "user", "content": "data:image/png;base64," + "A" * 1_500_000}]}
    answer = post(ada, f"{path}/items", image)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert "1 MiB" in answer.json()["error"]["message"]
    nothing = post(ada, f"{path}/items", {"items": []})
    assert nothing.json() == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False
    }  # fmt: skip
    assert listed(ada, path)["data"] == []
    whole = post(ada, f"{path}/items", {"items": [{"a": deep["a"]}, *said("x")["items"] * 99]})
    assert [one["id"] for one in whole.json()["data"]] == [
        one["id"] for one in listed(ada, path, order="asc")["data"]
    ]


def test_pages_have_every_item_once(ada: httpx.Client, path: str) -> None:
    post(ada, f"{path}/items", said(*(str(n) for n in range(9))))
    ids = [one["id"] for one in listed(ada, path, order="asc")["data"]]
    ada.delete(f"{path}/items/{ids[4]}")
    left = [n for n in range(9) if n != 4]

    for order, wanted in (("asc", left), ("desc", left[::-1])):
        found: list[str] = []
        query: dict[str, Any] = {"limit": 3, "order": order}
        while True:
            page = listed(ada, path, **query)
            found += texts(page)
            assert (page["first_id"], page["last_id"]) == (
                page["data"][0]["id"], page["data"][-1]["id"]
            )  # fmt: skip
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        assert found == [str(n) for n in wanted]
    assert texts(listed(ada, path)) == [str(n) for n in left[::-1]]
    # Also after one that was deleted, whatever it is called.
    assert texts(listed(ada, path, order="asc", limit=1, after=f"fc{ids[4][3:]}")) == ["5"]
    for bad in ("limit=0", "limit=-1", "limit=101", "limit=x", "order=up"):
        assert ada.get(f"{path}/items?{bad}").status_code == 400
    for after in (NO_ID, "x", "", f"conv_{1:014x}"):
        assert ada.get(f"{path}/items", params={"after": after}).status_code == 404


def test_a_page_ends_where_it_is_large(ada: httpx.Client, path: str) -> None:
    for text in "abc":
        post(ada, f"{path}/items", {"items": [{"type": "x_output", "output": text * 150_000}] * 2})

    first = listed(ada, path, order="asc")
    second = listed(ada, path, order="asc", after=first["last_id"])

    sizes = [len(page["data"]) for page in (first, second)]
    assert sum(sizes) == 6
    assert min(sizes) > 0
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_the_last_item_is_popped_and_others_leave_their_place(ada: httpx.Client, path: str) -> None:
    post(ada, f"{path}/items", said("one", "two", "two", "four"))
    ids = [one["id"] for one in listed(ada, path, order="asc")["data"]]

    for item in (ids[3], ids[1], ids[2]):
        popped = ada.delete(f"{path}/items/{item}")
        assert popped.json() == ada.get(path).json()
        assert ada.get(f"{path}/items/{item}").status_code == 404
        assert item not in ada.get(f"{path}/items").text

    assert ada.delete(f"{path}/items/{ids[3]}").status_code == 404
    assert texts(listed(ada, path)) == ["one"]
    assert [one["status"] for one in own_messages(ada, path)] == ["stored", "deleted"]


def test_a_repeated_deletion_is_one(ada: httpx.Client, path: str) -> None:
    post(ada, f"{path}/items", said("one", "two", "three"))
    one, _, three = (item["id"] for item in listed(ada, path, order="asc")["data"])

    for item in (three, one):
        key = {"Idempotency-Key": f"k {item}"}
        first, again = (ada.delete(f"{path}/items/{item}", headers=key) for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json() == again.json()

    assert texts(listed(ada, path)) == ["two"]


def test_a_key_makes_a_write_happen_once(ada: httpx.Client) -> None:
    key = {"Idempotency-Key": "stainless-python-retry-1"}
    body = {"metadata": {"topic": "demo"}, **said("first", "first")}

    opened = [post(ada, "/v1/conversations", body, **key).json() for _ in range(2)]
    path = f"/v1/conversations/{opened[0]['id']}"
    added = [post(ada, f"{path}/items", said("second"), **key) for _ in range(2)]
    other = post(ada, f"{path}/items", said("third"), **key)

    assert opened[0] == opened[1]
    assert added[0].json() == added[1].json()
    assert (other.status_code, other.headers["x-should-retry"]) == (409, "false")
    assert texts(listed(ada, path, order="asc")) == ["first", "first", "second"]


def test_metadata_are_replaced_whole(ada: httpx.Client) -> None:
    opened = post(ada, "/v1/conversations", '{"metadata":{"a":"1", "b":"\\u0000"}}')
    path = f"/v1/conversations/{opened.json()['id']}"
    assert '"metadata":{"a":"1", "b":"\\u0000"}' in opened.text
    assert ada.get(path).text == opened.text
    assert opened.json()["created_at"] > 1_700_000_000

    changed = post(ada, path, {"metadata": {"c": "3"}})

    assert changed.json() == opened.json() | {"metadata": {"c": "3"}} == ada.get(path).json()
    assert post(ada, path, {"metadata": None}).json()["metadata"] == {}
    bad: list[Any] = [
        *({}, {"metadata": {"a": 1}}, {"metadata": {"a" * 65: ""}}, {"metadata": {"a": "b" * 513}}),
        {"metadata": {str(n): "" for n in range(17)}},
    ]
    for body in bad:
        assert post(ada, path, body).status_code == 400
    assert ada.get(path).json()["metadata"] == {}


def test_a_deleted_conversation_is_gone_at_once(ada: httpx.Client, path: str) -> None:
    name = path.rpartition("/")[2]

    for _ in range(2):
        assert ada.delete(path).json() == {
            "id": name, "object": "conversation.deleted", "deleted": True
        }  # fmt: skip
    for answer in (ada.get(path), ada.get(f"{path}/items"), post(ada, f"{path}/items", said("x"))):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_ones_conversations_are_listed_by_age(ada: httpx.Client, eve: httpx.Client) -> None:
    opened = [ada.post("/v1/conversations", json={}).json() for _ in range(5)]
    for one in opened:
        ada.get(f"/v1/conversations/{one['id']}")
    eves = eve.post("/v1/conversations", json={}).json()["id"]

    page = ada.get("/v1/conversations", params={"limit": 2}).json()
    rest = ada.get("/v1/conversations", params={"after": page["last_id"]}).json()
    oldest = ada.get("/v1/conversations", params={"order": "asc", "limit": 1}).json()

    assert page["data"] + rest["data"] == opened[::-1]
    assert (page["has_more"], rest["has_more"], oldest["has_more"]) == (True, False, True)
    assert (page["first_id"], page["last_id"]) == (opened[4]["id"], opened[3]["id"])
    assert oldest["data"] == opened[:1]
    assert ada.get("/v1/conversations", params={"after": eves}).status_code == 404


def test_anothers_names_are_nobodys(ada: httpx.Client, eve: httpx.Client, path: str) -> None:
    item = post(ada, f"{path}/items", said(CANARY)).json()["first_id"]
    eves = f"/v1/conversations/{eve.post('/v1/conversations', json={}).json()['id']}"

    for method, one, body in (
        *(("GET", path, None), ("POST", path, {"metadata": {}}), ("DELETE", path, None)),
        *(("GET", f"{path}/items", None), ("POST", f"{path}/items", said("x"))),
        *(("POST", f"{path}/items", {"items": []}), ("GET", f"{path}/items/{item}", None)),
        *(("DELETE", f"{path}/items/{item}", None), ("GET", f"{eves}/items/{item}", None)),
        *(("DELETE", f"{eves}/items/{item}", None), ("GET", f"{eves}/items?after={item}", None)),
    ):
        answer = eve.request(method, one, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), one
        assert CANARY not in answer.text
    assert texts(listed(ada, path)) == [CANARY]


@pytest.mark.parametrize(
    "name",
    [
        *("conv_", "conv_0", f"conv_{0:014x}", f"CONV_{9:014x}", f"conv_{9:015x}", "ext%3Ax"),
        *(f"msg_{9:014x}", f"conv_{2**53:014x}", f"conv_{9:014x}%0A", "9"),
    ],
)
def test_what_is_no_name_is_not_found(ada: httpx.Client, path: str, name: str) -> None:
    answer = ada.get(f"/v1/conversations/{name}")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"]
    assert ada.get(f"{path}/items/{name.replace('msg_', 'conv_')}").status_code == 404


def test_every_error_has_the_shape_that_the_sdks_read(
    anybody: httpx.Client, ada: httpx.Client, path: str
) -> None:
    cases = [
        (anybody.get(path), 401, "invalid_request_error", "invalid_api_key", "false"),
        (ada.get("/v1/nothing"), 404, "invalid_request_error", "not_found", "false"),
        (ada.put(path, json={}), 405, "invalid_request_error", None, "false"),
        (ada.post(path, content="{}"), 415, "invalid_request_error", None, "false"),
        (post(ada, path, {"metadata": 1}), 400, "invalid_request_error", None, "false"),
    ]

    for answer, status, kind, code, should_retry in cases:
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        error = answer.json()["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert (error["type"], error["code"]) == (kind, code)
        assert answer.headers.get("x-should-retry") == should_retry
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert cases[0][0].headers["WWW-Authenticate"] == "Bearer"
    assert cases[2][0].headers["Allow"]
    assert cases[-1][0].json()["error"]["param"] == "metadata"
    # Elsewhere an error is what it was.
    assert ada.get("/v1x").headers["Content-Type"] == "application/problem+json"


def test_a_large_error_is_whole(ada: httpx.Client, path: str) -> None:
    answer = post(ada, path, {f"{n:09}": 1 for n in range(20_000)})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].count("Unknown field") == 20_000
