"""Subjects: people of a program, each a user, kept apart from one another and from its owner."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.support.api import PASSWORD, Api, StartApi
from tests.support.draining import draining
from tests.support.keys import SUBJECT, acting, bearer, make_key
from tests.support.waiting import eventually

Key = dict[str, Any]


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> Api:
    """Each account of it may have five subjects, who may open six conversations a day."""
    return start_api(user_subjects=5, user_conversations_per_day=6)


@pytest.fixture
def key(ada: httpx.Client) -> Key:
    return make_key(ada, acts_for="subjects")


def me(api: Api, key: Key, subject: str | None) -> httpx.Response:
    return httpx.get(f"{api.url}/auth/me", headers=bearer(key, subject))


def test_a_subject_becomes_a_user_of_its_own_when_it_is_first_seen(
    api: Api, ada: httpx.Client, eve: httpx.Client, key: Key
) -> None:
    second, eves = make_key(ada, acts_for="subjects"), make_key(eve, acts_for="subjects")
    first, again, other = (me(api, key, name).json() for name in ("grace", "grace", "hopper"))

    assert first == again
    assert first["username"].startswith("sub:")
    assert first == me(api, second, "grace").json()
    owner = ada.get("/auth/me").json()["id"]
    assert len({owner, first["id"], other["id"], me(api, eves, "grace").json()["id"]}) == 4


def test_who_is_seen_by_many_at_once_is_one_user(api: Api, key: Key) -> None:
    with ThreadPoolExecutor(8) as clients:
        found = clients.map(lambda _: me(api, key, "grace").json()["id"], range(16))

    assert len(set(found)) == 1


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 255, "田中", "two words", "a+b@example.com"])
def test_a_subject_is_1_to_255_characters(api: Api, key: Key, name: str) -> None:
    headers = [
        (b"Authorization", f"Bearer {key['key']}".encode()),
        (SUBJECT.encode(), name.encode()),
    ]

    assert httpx.get(f"{api.url}/auth/me", headers=headers).status_code == 200


@pytest.mark.parametrize("name", [b"", b"x" * 256, b"\xe4", b"a\tb", b"\xc2\x85"])
def test_what_is_no_subject_is_refused(api: Api, key: Key, name: bytes) -> None:
    headers = [(b"Authorization", f"Bearer {key['key']}".encode()), (SUBJECT.encode(), name)]

    answer = httpx.get(f"{api.url}/auth/me", headers=headers)

    assert answer.status_code == 400
    assert "1 to 255" in answer.json()["detail"]


def test_a_subject_is_named_once_and_only_with_a_key_for_subjects(
    api: Api, ada: httpx.Client, key: Key
) -> None:
    own = make_key(ada)
    twice = [*bearer(key, "grace").items(), (SUBJECT, "hopper")]
    answers = [
        me(api, key, None),
        httpx.get(f"{api.url}/auth/me", headers=twice),
        me(api, own, "grace"),
        ada.get("/auth/me", headers={SUBJECT: "grace"}),
        ada.post("/api/chat/start", headers={SUBJECT: "grace"}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 403, 403, 403]
    assert all(SUBJECT in answer.json()["detail"] for answer in answers)


def test_a_quota_is_a_subjects_own(api: Api, key: Key) -> None:
    with acting(api, key, "grace") as grace, acting(api, key, "hopper") as hopper:
        busy = [grace.post("/api/conversations/").status_code for _ in range(7)]

        assert busy == [202] * 6 + [429]
        assert hopper.post("/api/conversations/").status_code == 202


def test_an_account_has_as_many_subjects_as_it_may(api: Api, key: Key) -> None:
    answers = [me(api, key, f"person {number}") for number in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert me(api, key, "person 0").status_code == 200


def test_nobody_signs_in_as_a_subject(api: Api, key: Key, anybody: httpx.Client) -> None:
    name = me(api, key, "grace").json()["username"]

    for password in ("", PASSWORD):
        answer = anybody.post("/auth/login", json={"username": name, "password": password})
        assert answer.status_code == 401


def test_a_key_exports_and_erases_a_subject_and_nobody_else(
    api: Api, ada: httpx.Client, key: Key
) -> None:
    with (
        draining(api.settings),
        acting(api, key, "grace") as grace,
        acting(api, key, "hopper") as hopper,
    ):
        ada.post("/api/conversations/", json={"title": "ada's"})
        hers = grace.post("/api/conversations/", json={"title": "grace's"}).json()
        others = hopper.post("/api/conversations/", json={"title": "hopper's"}).json()
        exported = grace.get("/api/export", params={"read_after": hers["id"]}).text
        erased = grace.post("/auth/me/delete", json={})

        assert "grace's" in exported
        assert "hopper's" not in exported
        assert "ada's" not in exported
        assert erased.status_code == 204
        # Whoever comes back is somebody new, once the process has heard of it.
        eventually(lambda: grace.get("/auth/me").status_code == 200)
        assert grace.get("/auth/me").json()["id"] != hers["user_id"]
        assert grace.get("/api/conversations/").json()["total"] == 0
        assert hopper.get(f"/api/conversations/{others['id']}").status_code == 200
    assert ada.get("/auth/me").status_code == 200


def test_an_account_goes_with_its_subjects_and_its_keys(
    api: Api, eve: httpx.Client, key: Key
) -> None:
    with (
        draining(api.settings),
        closing(api.person()) as person,
        acting(api, make_key(person, acts_for="subjects"), "grace") as grace,
        acting(api, make_key(eve, acts_for="subjects"), "grace") as of_eve,
    ):
        gone = grace.post("/api/conversations/", json={}).json()["user_id"]
        kept = of_eve.post("/api/conversations/", json={}).json()["id"]

        assert person.post("/auth/me/delete", json={"password": PASSWORD}).status_code == 204

        assert grace.post("/api/conversations/", json={}).status_code == 401
        eventually(lambda: grace.get("/auth/me").status_code == 401)
        assert of_eve.get(f"/api/conversations/{kept}").status_code == 200
    assert rows_left(api, gone) == 0


def rows_left(api: Api, user_id: int) -> int:
    with api.engine.connect() as owner:
        statement = text(
            'SELECT (SELECT count(*) FROM "user" WHERE id = :user)'
            " + (SELECT count(*) FROM conversation WHERE user_id = :user)"
        )
        return int(owner.scalar(statement, {"user": user_id}) or 0)


def test_an_account_that_is_going_gets_no_more_subjects(api: Api, ada: httpx.Client) -> None:
    """A process that still knows the key of an account that has lost its keys."""
    key = make_key(ada, acts_for="subjects")
    me(api, key, "grace").raise_for_status()
    with api.engine.begin() as owner:
        owner.execute(text("DELETE FROM api_key WHERE id = :id"), {"id": key["id"]})

    assert me(api, key, "hopper").status_code == 401
    assert me(api, key, "grace").status_code == 200
