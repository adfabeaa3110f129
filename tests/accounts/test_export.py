"""Exporting an account: everything of its owner, nothing of others."""

import json
from typing import Any

import httpx
import pytest

from tests.support.api import Api
from tests.support.draining import draining


def exported(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/export", params=query)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.split("\n")[:-1]]


def test_an_export_has_everything_in_order_and_nothing_of_others(
    api: Api, ada: httpx.Client, eve: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.accounts.export.PAGE", 2)
    texts = [f"line\u2028break\n{number} 👩‍👩‍👧" for number in range(5)]
    with draining(api.settings):
        eve.post("/api/conversations/", json={"title": "eve's"}).raise_for_status()
        opened = [ada.post("/api/conversations/", json={"title": f"t{n}"}).json() for n in range(5)]
        path = f"/api/conversations/{opened[0]['id']}/messages"
        added = [
            ada.post(path, json={"role": "user", "content": content}).json() for content in texts
        ]
        after = [one["id"] for one in (*added, *opened)]
        found = exported(ada, read_after=after)

    kinds = [one["type"] for one in found]
    assert kinds[0] == "account"
    assert found[0]["username"] == ada.get("/auth/me").json()["username"]
    assert "password_hash" not in found[0]
    assert {one["title"] for one in found if one["type"] == "conversation"} == {
        f"t{n}" for n in range(5)
    }
    assert [one["content"] for one in found if one["type"] == "message"] == texts
    assert found[-1] == {"type": "end", "conversations": 5, "messages": 5, "assets": 0}


def test_an_export_without_conversations_is_complete(ada: httpx.Client) -> None:
    assert [one["type"] for one in exported(ada)] == ["account", "end"]


def test_an_export_has_what_was_said_of_a_conversation(api: Api, ada: httpx.Client) -> None:
    said = {"external_id": "e", "metadata": {"b": 1, "a": ["\0", 2.5]}, "tags": ["x", "y"]}
    with draining(api.settings):
        opened = ada.post("/api/conversations/", json=said).json()
        path = f"/api/conversations/{opened['id']}"
        changed = ada.patch(path, json={"archived": True}).json()
        plain = ada.post("/api/conversations/", json={}).json()
        found = exported(ada, read_after=[changed["entry_id"], plain["id"]])
        read = ada.get(path).json()

    one, other = (line for line in found if line["type"] == "conversation")
    fields = (*said, "archived_at", "pinned_at", "forked_from", "forked_at")
    assert {name: one[name] for name in fields} == {name: read[name] for name in fields}
    assert {name: one[name] for name in said} == said
    assert one["archived_at"] is not None
    assert [other[name] for name in fields] == [None] * len(fields)


def test_an_export_has_what_is_extra_and_what_is_aside(api: Api, ada: httpx.Client) -> None:
    with draining(api.settings):
        path = f"/api/conversations/{ada.post('/api/conversations/', json={}).json()['id']}"
        messages = [
            {"role": "tool", "external_id": "x", "extra": {"n": 1.5}},
            {"role": "user", "content": "cut"},
        ]
        _, cut = ada.post(f"{path}/messages/batch", json={"messages": messages}).json()["messages"]
        query = {"after": True, "keep": True}
        entry = ada.delete(f"{path}/messages/{cut['id']}", params=query).json()["entry_id"]
        found = ada.get("/api/export", params={"read_after": entry}).text.splitlines()

    _, _, message, aside, end = map(json.loads, found)
    assert (message["external_id"], message["extra"]) == ("x", {"n": 1.5})
    assert (aside["type"], aside["content"], aside["branch_id"]) == ("aside", "cut", entry)
    assert end["messages"] == 1


def test_a_conversation_is_exported_as_markdown_whole_and_in_order(
    api: Api, ada: httpx.Client, eve: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.accounts.export.PAGE", 2)
    said = [
        ("user", "a\u2028b"),
        ("assistant", "# c"),
        ("tool", ""),
        ("user", "gone"),
        ("user", "d"),
    ]
    with draining(api.settings):
        opened = ada.post("/api/conversations/", json={"title": "Two\nlines"}).json()
        path = f"/api/conversations/{opened['id']}"
        messages = [{"role": role, "content": content, "extra": {"n": 1}} for role, content in said]
        added = ada.post(f"{path}/messages/batch", json={"messages": messages}).json()["messages"]
        removed = ada.delete(f"{path}/messages/{added[3]['id']}").json()["entry_id"]
        whole = ada.get(f"{path}/export", params={"read_after": removed})
        foreign = eve.get(f"{path}/export")

    at = added[0]["created_at"][:16].replace("T", " ")
    assert whole.headers["content-type"] == "text/markdown; charset=utf-8"
    assert whole.headers["content-disposition"].endswith(f'"conversation-{opened["id"]}.md"')
    assert whole.text == (
        f"# Two lines\n\n## User ({at})\n\na\u2028b\n\n## Assistant ({at})\n\n# c\n\n"
        f"## Tool ({at})\n\n## User ({at})\n\nd\n\n"
    )
    assert foreign.status_code == 404
