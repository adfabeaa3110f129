"""Messages are edited, deleted, cut and exchanged; conversations are copied."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.support.api import Api
from tests.support.rows import add_conversation

pytestmark = pytest.mark.usefixtures("drained")


@pytest.fixture
def path(ada: httpx.Client) -> str:
    return f"/api/conversations/{ada.post('/api/conversations/', json={}).json()['id']}"


@pytest.fixture
def said(ada: httpx.Client, path: str) -> list[int]:
    """Three messages: their ids."""
    elements = [{"role": "user", "content": word, "external_id": f"{word}/%2F é"} for word in "abc"]
    answer = ada.post(f"{path}/messages/batch", json={"messages": elements})
    return [message["id"] for message in answer.json()["messages"]]


def accepted(answer: httpx.Response) -> int:
    assert answer.status_code == 202, answer.text
    return int(answer.json().get("entry_id") or answer.json()["id"])


def shown(client: httpx.Client, path: str, after: int, what: str = "content") -> list[Any]:
    answer = client.get(f"{path}/messages", params={"read_after": after})
    assert answer.status_code == 200, answer.text
    return [message[what] for message in answer.json()["messages"]]


def branches(client: httpx.Client, path: str, after: int) -> list[dict[str, Any]]:
    answer = client.get(f"{path}/branches", params={"read_after": after})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["branches"])


def test_a_message_is_edited_by_its_own_id_or_its_writers(
    ada: httpx.Client, path: str, said: list[int]
) -> None:
    accepted(ada.put(f"{path}/messages/{said[0]}", json={"content": "A", "extra": {"n": 1}}))
    accepted(ada.put(f"{path}/messages/ext:b%2F%252F%20%C3%A9", json={"content": "B"}))
    entry = accepted(ada.put(f"{path}/messages/{said[0]}", json={"extra": None}))

    assert shown(ada, path, entry) == ["A", "B", "c"]
    assert shown(ada, path, entry, "extra") == [None] * 3
    assert [at is not None for at in shown(ada, path, entry, "edited_at")] == [True, True, False]


def test_one_message_is_deleted_and_keeps_its_place(
    ada: httpx.Client, path: str, said: list[int]
) -> None:
    entry = accepted(ada.delete(f"{path}/messages/{said[1]}"))

    assert shown(ada, path, entry) == ["a", "", "c"]
    assert shown(ada, path, entry, "status") == ["stored", "deleted", "stored"]
    assert ada.put(f"{path}/messages/{said[1]}", json={"content": "x"}).status_code == 409


def test_the_end_is_cut_and_may_come_back(ada: httpx.Client, path: str, said: list[int]) -> None:
    cut = accepted(ada.delete(f"{path}/messages/{said[1]}?after=true&keep=true"))
    other = accepted(ada.post(f"{path}/messages", json={"role": "user", "content": "d"}))

    assert shown(ada, path, other) == ["a", "d"]
    assert shown(ada, path, other, "aside") == [0, 1]
    [branch] = branches(ada, path, other)
    assert branch == {
        "id": cut, "position": 2, "parent_id": said[0], "first_id": said[1], "messages": 2,
        "aside_at": branch["aside_at"], "fits": True,
    }  # fmt: skip

    switched = accepted(ada.post(f"{path}/branches/{cut}/switch"))
    assert shown(ada, path, switched) == ["a", "b", "c"]
    [branch] = branches(ada, path, switched)
    assert (branch["id"], branch["messages"]) == (switched, 1)

    gone = accepted(ada.delete(f"{path}/messages/{said[0]}?after=true"))
    assert shown(ada, path, gone) == []
    assert branches(ada, path, gone) == []


def test_a_branch_of_a_branch_waits_for_that_one(
    ada: httpx.Client, path: str, said: list[int]
) -> None:
    inner = accepted(ada.delete(f"{path}/messages/{said[2]}?after=true&keep=true"))
    outer = accepted(ada.delete(f"{path}/messages/{said[1]}?after=true&keep=true"))

    assert [branch["fits"] for branch in branches(ada, path, outer)] == [True, False]
    assert ada.post(f"{path}/branches/{inner}/switch").status_code == 409
    accepted(ada.post(f"{path}/branches/{outer}/switch"))
    switched = accepted(ada.post(f"{path}/branches/{inner}/switch"))
    assert shown(ada, path, switched) == ["a", "b", "c"]


def test_a_repeated_change_is_one(ada: httpx.Client, path: str, said: list[int]) -> None:
    keyed = {"Idempotency-Key": "once"}
    where = f"{path}/messages/ext:c%2F%252F%20%C3%A9?after=true"

    first = ada.delete(where, headers=keyed)
    again = ada.delete(where, headers=keyed)
    other = ada.delete(f"{path}/messages/{said[0]}?after=true", headers=keyed)

    assert first.json() == again.json()
    assert other.status_code == 409
    assert shown(ada, path, accepted(first)) == ["a", "b"]


def test_a_change_to_what_was_not_seen_is_refused(
    ada: httpx.Client, path: str, said: list[int]
) -> None:
    def if_last(message_id: int) -> dict[str, str]:
        return {"If-Last": str(message_id)}

    body = {"role": "user", "content": "d"}
    late = ada.post(f"{path}/messages", json=body, headers=if_last(said[1]))
    popped = ada.delete(f"{path}/messages/{said[2]}?after=true", headers=if_last(said[2]))
    again = ada.delete(f"{path}/messages/{said[1]}?after=true", headers=if_last(said[2]))
    added = ada.post(f"{path}/messages", json=body, headers=if_last(said[1]))

    assert [answer.status_code for answer in (late, popped, again, added)] == [409, 202, 409, 202]
    assert shown(ada, path, accepted(added)) == ["a", "b", "d"]
    assert ada.post(f"{path}/messages", json=body, headers={"If-Last": "x"}).status_code == 400


def test_a_conversation_is_copied_up_to_a_position(
    ada: httpx.Client, path: str, said: list[int]
) -> None:
    answer = ada.post(f"{path}/fork", json={"position": 2, "title": "copy"})
    copy = answer.json()
    there = f"/api/conversations/{copy['id']}"
    after = accepted(ada.post(f"{there}/messages", json={"role": "user", "content": "e"}))

    assert answer.status_code == 202
    assert (copy["forked_from"], copy["forked_at"], copy["message_count"]) == (
        int(path.rpartition("/")[2]), 2, 2,
    )  # fmt: skip
    assert shown(ada, there, after) == ["a", "b", "e"]
    assert shown(ada, path, said[-1]) == ["a", "b", "c"]
    assert ada.get(there).json() | {"message_count": 2, "updated_at": copy["updated_at"]} == copy


def test_a_copy_has_what_is_said_of_its_source_but_its_id_and_its_place_in_lists(
    ada: httpx.Client,
) -> None:
    said = {"title": "plan", "metadata": {"instructions": "Be brief.", "n": 1.0}, "tags": ["a"]}
    source = ada.post("/api/conversations/", json={**said, "external_id": "source"}).json()["id"]
    path = f"/api/conversations/{source}"
    ada.post(f"{path}/messages", json={"role": "user", "content": "a"})
    ada.patch(path, json={"archived": True, "pinned": True, "tags": ["b"]})
    for title in ({}, {"title": "other"}):
        copy = ada.post(f"{path}/fork", json={"position": 1, **title}).json()
        stored = ada.get(f"/api/conversations/{copy['id']}").json()

        assert {name: stored[name] for name in said} == {**said, "tags": ["b"], **title}
        assert (stored["external_id"], stored["archived_at"], stored["pinned_at"]) == (None,) * 3


def test_a_copy_lies_beside_its_source_and_has_what_was_accepted_before_it(
    ada: httpx.Client, api: Api
) -> None:
    user = ada.get("/auth/me").json()["id"]
    # A conversation from before users had a home partition.
    elsewhere = (1 << 42) + (user + 1) % 16
    add_conversation(api.engine, user, elsewhere)
    path = f"/api/conversations/{elsewhere}"
    for word in "abc":
        ada.post(f"{path}/messages", json={"role": "user", "content": word})
    copy = accepted(ada.post(f"{path}/fork", json={"position": 3}))
    after = accepted(ada.post(f"{path}/messages", json={"role": "user", "content": "d"}))

    assert (copy - elsewhere) % 16 == 0
    assert shown(ada, f"/api/conversations/{copy}", after) == ["a", "b", "c"]


def test_what_an_edit_that_became_a_dead_letter_has_changed_may_be_changed_again(
    ada: httpx.Client, api: Api, path: str, said: list[int]
) -> None:
    message = f"{path}/messages/{said[0]}"
    with api.engine.begin() as database:
        database.execute(text("ALTER TABLE message ADD CONSTRAINT picky CHECK (content <> 'x')"))
    accepted(ada.put(message, json={"content": "x"}))
    entry = accepted(ada.put(message, json={"content": "y"}, timeout=60))

    assert shown(ada, path, entry) == ["y", "b", "c"]
    with api.engine.begin() as database:
        database.execute(text("ALTER TABLE message DROP CONSTRAINT picky"))


def test_what_is_not_there_is_404_and_changes_nothing(
    ada: httpx.Client, path: str, said: list[int]
) -> None:
    elsewhere = ada.post("/api/conversations/", json={}).json()["id"]
    there = f"/api/conversations/{elsewhere}"
    (other,) = (accepted(ada.post(f"{there}/messages", json={"role": "user", "content": "x"})),)
    cut = accepted(ada.delete(f"{there}/messages/{other}?after=true&keep=true"))

    for wrong in (other, said[-1] + 16, said[-1] + 1, 2**53 - 1, 7, 0, "x", "ext:nobody", "ext:"):
        assert ada.put(f"{path}/messages/{wrong}", json={"content": "y"}).status_code == 404, wrong
        assert ada.delete(f"{path}/messages/{wrong}?after=true").status_code == 404, wrong
    for wrong in (cut, said[0], 7, "x"):
        assert ada.post(f"{path}/branches/{wrong}/switch").status_code == 404, wrong
    assert shown(ada, path, said[-1]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "body",
    [{}, {"content": ""}, {"content": None}, {"extra": [1]}, {"role": "user"}, {"content": "\0"}],
)
def test_a_senseless_edit_is_422(
    ada: httpx.Client, path: str, said: list[int], body: dict[str, Any]
) -> None:
    assert ada.put(f"{path}/messages/{said[0]}", json=body).status_code == 422


def test_a_senseless_cut_or_copy_is_422(ada: httpx.Client, path: str, said: list[int]) -> None:
    assert ada.delete(f"{path}/messages/{said[0]}?keep=true").status_code == 422
    for position in (0, 4, 100_001, "x"):
        assert ada.post(f"{path}/fork", json={"position": position}).status_code == 422
