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
    assert found[-1] == {"type": "end", "conversations": 5, "messages": 5}


def test_an_export_without_conversations_is_complete(ada: httpx.Client) -> None:
    assert [one["type"] for one in exported(ada)] == ["account", "end"]
