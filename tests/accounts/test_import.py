"""Importing conversations: all of a line is kept, twice is once, and a bad line is only itself."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, repeat
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.writes import imports
from api.writes.submit import Submitter
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.waiting import eventually

Line = dict[str, Any]
NDJSON = {"Content-Type": "application/x-ndjson"}


def post(client: httpx.Client, *lines: Any, media: str = "application/x-ndjson") -> httpx.Response:
    """Send lines; one that is bytes as it stands."""
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return client.post("/api/import", content=b"\n".join(raw), headers={"Content-Type": media})


def imported(client: httpx.Client, *lines: Any, wait: bool = True) -> list[Line]:
    """Send lines; return the answers, once all of it can be read."""
    answer = post(client, *lines)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    found = [json.loads(line) for line in answer.text.split("\n")[:-1]]
    if wait:
        ids = [one["entry_id"] for one in found if "entry_id" in one]
        client.get("/api/conversations/", params={"read_after": ids}).raise_for_status()
    return found


def conversation(name: str = "app:1", *contents: str, **more: Any) -> Line:
    messages = [
        {"external_id": f"m{n}", "role": ("user", "assistant")[n % 2], "content": content}
        for n, content in enumerate(contents)
    ]
    return {"external_id": name, "messages": messages, **more}


def exported(client: httpx.Client, after: Any = ()) -> list[Line]:
    """Return the conversations of the form that can be imported."""
    answer = client.get("/api/export", params={"form": "conversations", "read_after": after})
    assert answer.status_code == 200
    lines = [json.loads(line) for line in answer.text.split("\n")[:-1]]
    assert lines[-1]["type"] == "end"
    return lines[:-1]


@pytest.fixture
def drained(api: Api) -> Iterator[None]:
    with draining(api.settings):
        yield


def contents(client: httpx.Client) -> list[list[str]]:
    return [[said["content"] for said in one["messages"]] for one in exported(client)]


RICH: Line = {
    "type": "conversation",
    "external_id": "chatgpt:1\u2028/ü",
    "title": "Trains",
    "created_at": "2023-11-14T22:13:20.500000Z",
    "archived": True,
    "pinned": True,
    "expires_in_days": 36500,
    "tags": ["travel"],
    "metadata": {"source": "chatgpt", "n": [1.0, None, "\0"]},
    "messages": [
        {"external_id": "q", "role": "user", "content": "When? 😀", "status": "stored"}
        | {"created_at": "2023-11-14T22:13:21.000000Z", "extra": None},
        {"external_id": "a", "role": "assistant", "content": "", "status": "interrupted"}
        | {"created_at": "2023-11-14T22:15:00.000000Z"}
        | {"extra": {"format": "verbatim/1", "item": {"b": 1e2, "a": "\0"}}},
        {"external_id": "t", "role": "tool", "content": "9", "status": "stored"}
        | {"created_at": "2023-11-14T22:16:00.123000Z", "extra": None},
    ],
}


def test_an_import_keeps_names_times_and_all_else(ada: httpx.Client, drained: None) -> None:
    (taken,) = imported(ada, RICH)

    assert taken.items() >= {"line": 1, "external_id": RICH["external_id"], "messages": 3}.items()
    assert taken["skipped"] == {}
    shown = ada.get(f"/api/conversations/{taken['id']}").json()
    # It stands in the list where its last message puts it.
    assert shown["updated_at"] == RICH["messages"][-1]["created_at"]
    (found,) = exported(ada)
    assert without_ids(found) == RICH


def without_ids(line: Line) -> Line:
    messages = [{n: v for n, v in said.items() if n != "id"} for said in line["messages"]]
    return {n: v for n, v in line.items() if n != "id"} | {"messages": messages}


def test_importing_again_changes_nothing_and_adds_what_is_new(
    ada: httpx.Client, drained: None
) -> None:
    first = imported(ada, conversation("app:1", "a", "b"), conversation("app:2", "c"))
    before = exported(ada)
    again = imported(ada, conversation("app:1", "a", "b", title="New"), conversation("app:2", "c"))

    assert [one["id"] for one in again] == [one["id"] for one in first]
    assert [(one["messages"], one["skipped"]) for one in again] == [
        (0, {"stored already": 2}),
        (0, {"stored already": 1}),
    ]
    assert exported(ada) == before

    more = imported(ada, conversation("app:1", "a", "b", "d", "e"))
    assert (more[0]["messages"], more[0]["skipped"]) == (2, {"stored already": 2})
    assert contents(ada) == [["a", "b", "d", "e"], ["c"]]


def test_what_was_cut_off_is_not_imported_again(api: Api, ada: httpx.Client, drained: None) -> None:
    imported(ada, conversation("app:1", "a", "b"))
    with api.engine.begin() as connection:  # "b" belongs to a branch that is not shown
        connection.execute(
            text(
                "WITH cut AS (DELETE FROM message WHERE content = 'b' RETURNING *)"
                " INSERT INTO message_aside (id, conversation_id, user_id, position, role, content,"
                " status, created_at, external_id, branch_id, aside_at) SELECT id, conversation_id,"
                " user_id, position, role, content, status, created_at, external_id, id, now()"
                " FROM cut"
            )
        )
        connection.execute(
            text("UPDATE conversation SET message_count = 1 WHERE message_count = 2")
        )

    (again,) = imported(ada, conversation("app:1", "a", "b", "c"))

    assert (again["messages"], again["skipped"]) == (1, {"stored already": 2})
    assert contents(ada)[-1] == ["a", "c"]


def test_a_long_conversation_comes_in_lines_of_one_name(ada: httpx.Client, drained: None) -> None:
    whole = conversation("app:1", *map(str, range(250)))
    first, second = (
        dict(whole, messages=part) for part in (whole["messages"][:120], whole["messages"][120:])
    )

    taken = imported(ada, first, second, first)

    assert [one["messages"] for one in taken] == [120, 130, 0]
    assert contents(ada) == [[str(n) for n in range(250)]]


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (b'{"external_id": "app:9", "messages": [', 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"[]", 422, ""),
        (b'{"external_id": "app:9", "title": "' + b"x" * 1024 * 1024 + b'"}', 413, "1 MiB"),
        ({"messages": []}, 422, "external_id"),
        (conversation("x" * 256), 422, "external_id"),
        (conversation("app:9", "a\0b"), 422, "messages.0.content"),
        (conversation("app:9", "x" * 100_001), 422, "messages.0.content"),
        (conversation("app:9", ""), 422, "messages.0.content"),
        ({"external_id": "app:9", "messages": [{"role": "user"}]}, 422, "messages.0.external_id"),
        (conversation("app:9", "a", created_at="2999-01-01T00:00:00Z"), 422, "created_at"),
        (conversation("app:9", "a", tags=["x" * 65]), 422, "tags.0"),
        (conversation("app:9", "a", metadata={"x": "x" * 17_000}), 422, "metadata"),
        (
            {"external_id": "app:9", "messages": [
                {"external_id": "m", "role": "user", "content": c} for c in "ab"]},
            *(422, "same external_id"),
        ),
        (
            {"external_id": "app:9", "messages": [
                {"external_id": "m", "role": "critic", "content": "a"}]},
            *(422, "messages.0.role"),
        ),
        (
            {"external_id": "app:9", "messages": [
                {"external_id": "m", "role": "user", "extra": {"x": "x" * 263_000}}]},
            *(422, "messages.0.extra"),
        ),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_and_the_rest_goes_on(
    ada: httpx.Client, drained: None, line: Any, status: int, told: str
) -> None:
    found = imported(ada, conversation("app:1", "a"), b" ", line, conversation("app:2", "b"))

    assert [one["line"] for one in found] == [1, 3, 4]
    assert [one.get("messages") for one in found] == [1, None, 1]
    assert found[1]["error"]["status"] == status
    assert told in found[1]["error"]["detail"]
    assert contents(ada) == [["a"], ["b"]]


def test_a_body_may_be_larger_than_any_other(ada: httpx.Client, drained: None) -> None:
    lines = [conversation(f"app:{n}", "x" * 100_000) for n in range(30)]

    assert [one.get("messages") for one in imported(ada, *lines)] == [1] * 30
    # Also where its size is not told beforehand.
    answer = ada.post(
        "/api/import",
        content=(json.dumps(line).encode() + b"\n" for line in lines),
        headers=NDJSON,
    )
    assert answer.text.count('"stored already": 1') == 30


def test_what_is_exported_is_imported_equal_but_for_ids(
    api: Api, ada: httpx.Client, eve: httpx.Client, drained: None
) -> None:
    opened = ada.post("/api/conversations/", json={"title": "Native"}).json()["id"]
    path = f"/api/conversations/{opened}/messages"
    said = [
        ada.post(path, json={"role": role, "content": content}).json()["id"]
        for role, content in (("user", "a\u2028b"), ("assistant", "c"))
    ]
    # Written on several lines, and so stored.
    pretty = '{"role": "tool", "content": "d", "extra": {\n "n": 1.50\r\n}}'
    answer = ada.post(path, content=pretty, headers={"Content-Type": "application/json"})
    lost = ada.post(path, json={"role": "user", "content": "lost"}).json()["id"]
    imported(ada, RICH)
    exported(ada, after=[*said, answer.json()["id"], lost])
    with api.engine.begin() as connection:  # a dead letter, which keeps only its place
        connection.execute(
            text("UPDATE message SET status = 'unavailable', content = '' WHERE content = 'lost'")
        )
    first = exported(ada)

    taken = imported(eve, {"type": "account", "id": 1}, *first, {"type": "end"})
    second = exported(eve)

    assert len(taken) == len(first) == 2
    assert second[0]["external_id"] == f"verbatim:{opened}"
    with closing(api.person()) as third:
        imported(third, *second)
        assert [without_ids(one) for one in exported(third)] == [without_ids(one) for one in second]
    for one in (first, second):
        for line in one:
            for thing in (line, *line["messages"]):
                del thing["id"]
                thing["external_id"] = (
                    None if "verbatim" in str(thing["external_id"]) else thing["external_id"]
                )
    assert first == second


def test_names_of_one_account_are_not_those_of_another(
    ada: httpx.Client, eve: httpx.Client, drained: None
) -> None:
    (adas,) = imported(ada, conversation("app:1", "ada's"))
    (eves,) = imported(eve, conversation("app:1", "eve's"))

    assert adas["id"] != eves["id"]
    assert (contents(ada), contents(eve)) == ([["ada's"]], [["eve's"]])


def test_an_import_waits_for_the_drain_and_then_says_so(
    api: Api, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "AHEAD_MOST", 4)
    monkeypatch.setattr(imports, "PATIENCE_SECONDS", 0.1)
    lines = [conversation(f"app:{n}", "a") for n in range(5)]

    found = imported(ada, *lines, wait=False)  # nobody drains

    assert [one.get("messages") for one in found] == [1, 1, None]
    assert found[2]["error"]["status"] == 503
    assert found[2]["error"]["retry_after"] >= 1
    with draining(api.settings):
        assert len(imported(ada, *lines)) == 5
        assert contents(ada) == [["a"]] * 5


def test_a_quota_ends_an_import_where_it_can_go_on(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "PATIENCE_SECONDS", 0.1)
    api = start_api(user_conversations_per_day=2)
    with closing(api.person()) as person, draining(api.settings):
        found = imported(person, *(conversation(f"app:{n}", "a") for n in range(4)))

    assert [one.get("error", {}).get("status") for one in found] == [None, None, 429]
    assert found[2]["error"]["retry_after"] > 1


def test_an_import_gives_way_to_everybody_else(
    ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "PATIENCE_SECONDS", 0.1)
    # Its request is admitted; then the process has more to do than it can.
    states = chain([False], repeat(True))
    monkeypatch.setattr(Submitter, "is_overloaded", property(lambda _: next(states)))

    (found,) = imported(ada, conversation("app:1", "a"), wait=False)

    assert found["error"]["status"] == 503


def test_what_somebody_else_adds_meanwhile_is_not_added_twice(api: Api, ada: httpx.Client) -> None:
    with draining(api.settings):
        (opened,) = imported(ada, conversation("app:1"))
    message = {"external_id": "m0", "role": "user", "content": "a"}
    path = f"/api/conversations/{opened['id']}/messages"
    added = ada.post(path, json=message).json()["id"]  # PostgreSQL does not know it yet

    (found,) = imported(ada, conversation("app:1", "a", "b"), wait=False)
    assert found["error"]["status"] == 503

    with draining(api.settings):
        ada.get(path, params={"read_after": added}).raise_for_status()
        (found,) = imported(ada, conversation("app:1", "a", "b"))
        assert (found["messages"], found["skipped"]) == (1, {"stored already": 1})
        assert contents(ada) == [["a", "b"]]


def test_an_account_imports_one_file_at_a_time(
    api: Api, ada: httpx.Client, eve: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reads.slots.WAIT_SECONDS", 0.1)
    began, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"{}\n"
        began.set()
        go_on.wait(30)

    def first() -> httpx.Response:
        return ada.post("/api/import", content=slowly(), headers=NDJSON)

    with ThreadPoolExecutor() as pool:
        running = pool.submit(first)
        began.wait(30)
        with closing(api.client()) as same:
            same.headers["Authorization"] = ada.headers["Authorization"]
            eventually(lambda: post(same).status_code == 429)
        assert post(eve).status_code == 200
        go_on.set()
        assert running.result().status_code == 200
    assert post(ada).status_code == 200


@pytest.mark.parametrize("media", ["text/plain", "multipart/form-data", ""])
def test_what_is_not_said_to_be_json_is_not_read(ada: httpx.Client, media: str) -> None:
    assert post(ada, conversation(), media=media).status_code == 415
