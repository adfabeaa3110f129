"""People who upload files, and write messages that name them."""

from typing import Any

import httpx
from sqlalchemy import text

from tests.support.api import Api
from tests.support.files import PNG


def uploaded(person: httpx.Client, data: bytes = PNG, name: str = "cat.png") -> dict[str, Any]:
    """Upload a file; return the asset."""
    answer = person.post("/api/assets", params={"name": name}, content=data)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def conversation_of(person: httpx.Client) -> str:
    """Open a conversation; return its path."""
    return f"/api/conversations/{person.post('/api/conversations/', json={}).json()['id']}"


def attachments(*assets: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what names assets."""
    names = ("id", "name", "type", "size")
    return [{name: asset[name] for name in names} for asset in assets]


def extra_with(*assets: dict[str, Any]) -> dict[str, Any]:
    """Return the `extra` of a message that names assets."""
    return {"attachments": attachments(*assets)}


def named(person: httpx.Client, path: str, *assets: dict[str, Any]) -> int:
    """Add a message that names files; return its id, once it is stored."""
    body = {"role": "user", "content": "look", "extra": extra_with(*assets)}
    answer = person.post(f"{path}/messages", json=body)
    assert answer.status_code == 202, answer.text
    return stored(person, path, answer.json()["id"])


def stored(person: httpx.Client, path: str, entry: int) -> int:
    """Wait until an entry is stored; return its id."""
    person.get(f"{path}/branches", params={"read_after": entry}).raise_for_status()
    return entry


def changed(person: httpx.Client, path: str, answer: httpx.Response) -> None:
    """Wait until a change that was accepted is stored."""
    assert answer.status_code == 202, answer.text
    stored(person, path, answer.json()["entry_id"])


def is_there(person: httpx.Client, asset: dict[str, Any]) -> bool:
    """Tell whether an asset can be read."""
    answer = person.get(f"/api/assets/{asset['id']}")
    assert answer.status_code in {200, 404}, answer.text
    return answer.status_code == 200


def rows(api: Api, table: str, person: httpx.Client) -> int:
    """Count somebody's rows in a table."""
    owner = person.get("/auth/me").json()["id"]
    with api.engine.connect() as connection:
        counted = text(f"SELECT count(*) FROM {table} WHERE user_id = :owner")
        return int(connection.scalar(counted, {"owner": owner}) or 0)
