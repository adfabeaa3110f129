"""Metadata, tags, archive and pin of conversations, and lists by them."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.support.api import Api, StartApi
from tests.support.draining import draining

pytestmark = pytest.mark.usefixtures("drained")

LIST = "/api/conversations/"
JSON = {"Content-Type": "application/json"}
#: As a client may write it: order, blanks, escapes, equal names, numbers of every kind, a NUL and
#: half of a surrogate pair.
METADATA = (
    '{"z": 1 , "a":{"nested":[true,false,null,[],{}]},"\\u0000":"\\u0000","":" ","a":"a\\/\\u0061",'
    '"unicode":"ä 漢 👩‍👩‍👧‍👦","half":"\\ud800",\n'
    '"big":123456789012345678901234567890,"float":0.10,"exp":1E+22,"huge":1e999,"negative":-0.0}'
)


@pytest.fixture
def path(ada: httpx.Client) -> str:
    return f"{LIST}{ada.post(LIST, json={'title': 'T'}).json()['id']}"


def change(client: httpx.Client, path: str, **fields: Any) -> Any:
    """Change a conversation; return it as it is then."""
    changed = client.patch(path, json=fields)
    assert changed.status_code == 202, changed.text
    assert changed.json().keys() == {"id", "entry_id"}
    return client.get(path, params={"read_after": changed.json()["entry_id"]}).json()


def test_only_what_is_said_changes(ada: httpx.Client, path: str) -> None:
    before = ada.get(path).json()
    steps: list[dict[str, Any]] = [
        {"metadata": {"a": 1}, "tags": ["x", "y"]},
        {"archived": True, "pinned": True},
        {"metadata": {"b": 2}},
        {"tags": [], "archived": False},
        {"metadata": None, "pinned": False},
        {"title": "New", "tags": ["z"]},
    ]
    seen = [change(ada, path, **step) for step in steps]

    assert [one["metadata"] for one in seen] == [{"a": 1}] * 2 + [{"b": 2}] * 2 + [None] * 2
    assert [one["tags"] for one in seen] == [["x", "y"]] * 3 + [None] * 2 + [["z"]]
    assert [one["archived_at"] is not None for one in seen] == [False, True, True] + [False] * 3
    assert [one["pinned_at"] is not None for one in seen] == [False, True, True, True, False, False]
    assert [one["title"] for one in seen] == ["T"] * 5 + ["New"]
    assert [one["updated_at"] == before["updated_at"] for one in seen] == [True] * 5 + [False]


def test_metadata_come_back_as_they_were_written(api: Api, ada: httpx.Client, path: str) -> None:
    opened = ada.post(LIST, content=f'{{"metadata": {METADATA}}}', headers=JSON)
    changed = ada.patch(path, content=f'{{"metadata": {METADATA}}}', headers=JSON)
    after = {"read_after": changed.json()["entry_id"]}
    answers = [
        opened,
        ada.get(f"{LIST}{opened.json()['id']}"),
        ada.get(path, params=after),
        ada.get(LIST, params={"limit": 1}),
    ]

    for answer in answers:
        assert f'"metadata":{METADATA}' in answer.text
        assert answer.headers["content-type"] == "application/json"
    with api.engine.begin() as connection:
        stored = connection.execute(
            text("SELECT metadata::text FROM conversation WHERE id = :id"),
            {"id": answers[2].json()["id"]},
        ).scalar_one()
    assert stored == METADATA


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata", '{"a": NaN}'),
        ("metadata", '{"a": -Infinity}'),
        ("metadata", '{"a": ' + "[" * 32 + "]" * 32 + "}"),
        ("metadata", '{"a":"' + "x" * 16_377 + '"}'),
        ("metadata", '{"a":"' + "ä" * 8_189 + '"}'),
        ("metadata", "[]"),
        ("metadata", '"{}"'),
        ("metadata", "7"),
        ("tags", '["a", "a"]'),
        ("tags", json.dumps([str(n) for n in range(33)])),
        ("tags", '[""]'),
        ("tags", json.dumps(["x" * 65])),
        ("tags", '["\\u0000"]'),
        ("tags", '["\\ud800"]'),
        ("tags", "[7]"),
        ("tags", '"a"'),
        ("tags", "null"),
        ("title", "null"),
        ("title", '""'),
        ("archived", "null"),
        ("archived", '"true"'),
        ("pinned", "1"),
    ],
)
def test_a_senseless_value_is_refused_by_the_name_of_its_field(
    ada: httpx.Client, path: str, field: str, value: str
) -> None:
    before = ada.get(path).json()

    refused = ada.patch(path, content=f'{{"{field}": {value}}}', headers=JSON)

    assert refused.status_code == 422
    assert refused.json()["detail"].startswith(field)
    assert ada.get(path).json() == before


def test_what_just_fits_is_taken(ada: httpx.Client, path: str) -> None:
    large = {"a": "x" * 16_376}
    deep: Any = 7
    for _ in range(32):
        deep = {"": deep}

    assert change(ada, path, metadata=large)["metadata"] == large
    assert change(ada, path, metadata=deep)["metadata"] == deep
    assert len(change(ada, path, tags=[f"{n:064}" for n in range(32)])["tags"]) == 32


@pytest.mark.parametrize("body", [{}, {"external_id": "x"}, {"color": 1}, None])
def test_a_change_of_nothing_is_refused(ada: httpx.Client, path: str, body: Any) -> None:
    assert ada.patch(path, json=body).status_code == 422


def test_a_key_covers_one_change(ada: httpx.Client, path: str) -> None:
    key = {"Idempotency-Key": "k"}
    first, again, other = (
        ada.patch(path, json={"tags": tags}, headers=key) for tags in (["a"], ["a"], ["b"])
    )

    assert first.json() == again.json()
    assert other.status_code == 409


def test_a_deleted_conversation_keeps_nothing_that_was_said(api: Api, ada: httpx.Client) -> None:
    body = {"title": "T", "external_id": "e", "metadata": {"a": 1}, "tags": ["x"]}
    known = ada.post(LIST, json=body).json()["id"]
    change(ada, f"{LIST}{known}", archived=True, pinned=True)
    entry = ada.delete(f"{LIST}{known}").json()["entry_id"]
    ada.get(LIST, params={"read_after": entry}).raise_for_status()

    with api.engine.begin() as connection:
        statement = text("SELECT * FROM conversation WHERE id = :id")
        row = connection.execute(statement, {"id": known}).mappings().one()

    said = ("title", "external_id", "metadata", "tags", "archived_at", "pinned_at")
    assert [row[name] for name in said] == [None] * 6
    assert row["deleted_at"] is not None


@pytest.fixture(scope="module")
def owner(api: Api) -> Iterator[httpx.Client]:
    """Somebody with 12 conversations: tags, archived and pinned in every mixture."""
    person = api.person()
    last = 0
    for n in range(12):
        tags = [tag for tag, every in (("even", 2), ("third", 3)) if n % every == 0]
        known = person.post(LIST, json={"title": str(n), "tags": tags}).json()["id"]
        flags = {"archived": n % 4 < 2, "pinned": n >= 6}
        last = person.patch(f"{LIST}{known}", json=flags).json()["entry_id"]
    person.get(LIST, params={"read_after": last}).raise_for_status()
    yield person
    person.close()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, range(12)),
        ({"archived": "any", "pinned": "any"}, range(12)),
        ({"tag": "even"}, range(0, 12, 2)),
        ({"tag": "EVEN"}, []),
        ({"archived": "true"}, [0, 1, 4, 5, 8, 9]),
        ({"archived": "false"}, [2, 3, 6, 7, 10, 11]),
        ({"pinned": "true"}, range(6, 12)),
        ({"pinned": "false", "tag": "third"}, [0, 3]),
        ({"archived": "true", "pinned": "true", "tag": "even"}, [8]),
        ({"q": "1", "archived": "false"}, [10, 11]),
        ({"external_id": "nobody's"}, []),
    ],
)
def test_a_list_has_what_was_asked_for_on_every_page(
    owner: httpx.Client, query: dict[str, str], found: Any
) -> None:
    wanted = [str(n) for n in found]
    whole = owner.get(LIST, params={"sort": "created_at", "order": "asc", **query}).json()
    walked: list[str] = []
    page: dict[str, Any] = {"next_cursor": None}
    while not walked or page["next_cursor"]:
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
        asked = {"sort": "created_at", "order": "asc", "limit": 2, **cursor, **query}
        page = owner.get(LIST, params=asked).json()
        walked += [one["title"] for one in page["conversations"]]
        if not wanted:
            break

    assert [one["title"] for one in whole["conversations"]] == walked == wanted
    assert whole["total"] == page["total"] == len(wanted)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"even": 6, "third": 4}),
        ({"archived": "false"}, {"even": 3, "third": 2}),
        ({"archived": "true"}, {"even": 3, "third": 2}),
    ],
)
def test_tags_are_listed_with_how_many_conversations_have_them(
    owner: httpx.Client, query: dict[str, str], found: dict[str, int]
) -> None:
    tags = owner.get("/api/tags", params=query).json()["tags"]

    assert [(one["tag"], one["conversations"]) for one in tags] == list(found.items())


def test_what_is_deleted_or_tagged_otherwise_counts_no_more(ada: httpx.Client) -> None:
    paths = [
        f"{LIST}{ada.post(LIST, json={'tags': ['gone', 'kept']}).json()['id']}" for _ in range(2)
    ]
    ada.patch(paths[0], json={"tags": ["kept"]}).raise_for_status()
    entry = ada.delete(paths[1]).json()["entry_id"]

    tags = ada.get("/api/tags", params={"read_after": entry}).json()["tags"]

    assert {"tag": "kept", "conversations": 1} in tags
    assert "gone" not in {one["tag"] for one in tags}


def test_the_list_is_ordered_by_title(owner: httpx.Client) -> None:
    by_title = owner.get(LIST, params={"sort": "title", "order": "asc", "limit": 4}).json()
    cursor = {"cursor": by_title["next_cursor"], "sort": "title", "order": "asc"}
    rest = owner.get(LIST, params=cursor).json()

    titles = [one["title"] for one in [*by_title["conversations"], *rest["conversations"]]]
    assert titles == sorted(str(n) for n in range(12))
    assert owner.get(LIST, params={**cursor, "sort": "created_at"}).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        {"archived": "yes"},
        {"pinned": ""},
        {"tag": ""},
        {"tag": "x" * 65},
        {"tag": "\0"},
        {"external_id": ""},
        {"external_id": "x" * 256},
    ],
)
def test_a_senseless_filter_is_refused(ada: httpx.Client, query: dict[str, str]) -> None:
    answer = ada.get(LIST, params=query)

    assert answer.status_code == 422
    assert {one["field"] for one in answer.json()["errors"]} == query.keys()


def test_days_until_a_deletion_are_refused_where_nothing_is_deleted_by_age(
    ada: httpx.Client, path: str
) -> None:
    refused = [
        ada.patch(path, json={"expires_in_days": 7}),
        ada.post(LIST, json={"expires_in_days": 7}),
    ]

    assert [answer.status_code for answer in refused] == [422, 422]
    assert all("RETENTION_DAYS" in answer.json()["detail"] for answer in refused)
    assert change(ada, path, expires_in_days=None)["expires_in_days"] is None


def test_an_account_says_after_how_many_days_its_conversations_go(
    start_api: StartApi, ada: httpx.Client
) -> None:
    api = start_api(retention_days=30)
    refused = ada.patch("/auth/me", json={"expires_in_days": 7})
    with closing(api.person()) as person, closing(api.person()) as other:
        changed = person.patch("/auth/me", json={"expires_in_days": 7})
        after = person.get("/auth/me").json()
        others = other.get("/auth/me").json()
        removed = person.patch("/auth/me", json={"expires_in_days": None}).json()
        senseless = [
            person.patch("/auth/me", json=body).status_code
            for body in ({"expires_in_days": 0}, {}, {"expires_in_days": "7"}, {"username": "x"})
        ]

    assert (refused.status_code, changed.status_code) == (422, 200)
    assert "RETENTION_DAYS" in refused.json()["detail"]
    assert ada.get("/auth/me").json()["retention_days"] is None
    assert after == changed.json()
    assert (after["expires_in_days"], after["retention_days"]) == (7, 30)
    assert (others["expires_in_days"], removed["expires_in_days"]) == (None, None)
    assert senseless == [422] * 4


def test_a_conversation_says_after_how_many_days_it_goes(start_api: StartApi) -> None:
    api = start_api(retention_days=30)
    with closing(api.person()) as person, draining(api.settings):
        opened = person.post(LIST, json={"expires_in_days": 7}).json()
        path = f"{LIST}{opened['id']}"
        changed = change(person, path, expires_in_days=14)
        removed = change(person, path, expires_in_days=None)
        senseless = [
            person.patch(path, json={"expires_in_days": days}).status_code
            for days in (0, -1, 36_501, "7", 1.5, True)
        ]

    assert [one["expires_in_days"] for one in (opened, changed, removed)] == [7, 14, None]
    assert senseless == [422] * 6
