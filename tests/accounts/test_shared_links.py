"""Shared links: what was said until then, for whoever has one, and only as long as it is good."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.accounts.shared_links import MAX_LINKS
from tests.support.api import PASSWORD, Api
from tests.support.draining import draining
from tests.support.keys import acting, make_key
from tests.support.waiting import eventually

SAID = [("user", "What is a link?"), ("assistant", "A way in."), ("user", "And out?")]


@pytest.fixture
def drained(api: Api) -> Iterator[None]:
    """What is written is drained all the time, in tests that do not say when."""
    with draining(api.settings):
        yield


def talk(person: httpx.Client, title: str | None = "Links") -> int:
    """Open a conversation in which SAID was said, beside what is nobody else's business."""
    opened = person.post("/api/conversations/", json={"title": title, "tags": ["private-tag"]})
    conversation = int(opened.json()["id"])
    person.patch(f"/api/conversations/{conversation}", json={"metadata": {"of": "private-meta"}})
    hidden = [
        {"role": "system", "content": "private-instructions"},
        {"role": "tool", "content": "private-result", "extra": {"private": "extra"}},
    ]
    said = [{"role": r, "content": c, "extra": {"private": "extra"}} for r, c in SAID]
    batch = {"messages": [hidden[0], *said[:2], hidden[1], said[2]]}
    answer = person.post(f"/api/conversations/{conversation}/messages/batch", json=batch)
    assert answer.status_code == 202
    return conversation


def add(person: httpx.Client, conversation: int, content: str) -> int:
    body = {"role": "user", "content": content}
    answer = person.post(f"/api/conversations/{conversation}/messages", json=body)
    return int(answer.raise_for_status().json()["id"])


def share(person: httpx.Client, conversation: int, **how: Any) -> dict[str, Any]:
    """Share a conversation, however long the drain takes on a busy machine."""

    def answered() -> httpx.Response | None:
        answer = person.post(f"/api/conversations/{conversation}/share", json=how)
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

    answer = eventually(answered)
    assert answer is not None
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def shown(client: httpx.Client, made: dict[str, Any]) -> httpx.Response:
    return client.get(f"/api{made['link']}")


def said_in(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(message["role"], message["content"]) for message in answer.json()["messages"]]


def rows(api: Api, conversation: int) -> int:
    counted = text("SELECT count(*) FROM shared_link WHERE conversation_id = :id")
    with api.engine.connect() as connection:
        return int(connection.scalar(counted, {"id": conversation}) or 0)


@pytest.mark.usefixtures("drained")
def test_a_link_shows_what_was_said_and_nothing_else_or_later(
    api: Api, ada: httpx.Client, anybody: httpx.Client
) -> None:
    conversation = talk(ada)
    made = share(ada, conversation)

    first = shown(anybody, made)
    path = f"/api/conversations/{conversation}"
    stored = ada.get(f"{path}/messages").json()["messages"]
    ada.patch(path, json={"title": "private-later"}).raise_for_status()
    changed = {"content": "private-later", "extra": None}
    ada.put(f"{path}/messages/{stored[1]['id']}", json=changed).raise_for_status()
    ada.delete(f"{path}/messages/{stored[4]['id']}").raise_for_status()
    last = add(ada, conversation, "private-later")
    assert "private-later" in ada.get(f"{path}/messages", params={"read_after": last}).text
    later = shown(anybody, made)

    assert made.keys() == {
        *("id", "conversation_id", "title", "message_count", "audience", "created_at"),
        *("expires_at", "link"),
    }
    assert said_in(first) == SAID
    assert later.content == first.content
    assert first.json().keys() == {"title", "created_at", "expires_at", "messages"}
    assert {tuple(one) for one in first.json()["messages"]} == {("role", "content", "status")}
    assert first.json()["title"] == "Links"
    private = [str(stored[0]["id"]), str(stored[0]["user_id"]), str(conversation), "private"]
    assert [one for one in private if one in first.text] == []
    assert first.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "noindex" in anybody.get(made["link"]).headers["X-Robots-Tag"]
    listed = {name: value for name, value in made.items() if name != "link"}
    assert ada.get("/api/shares").json() == {"links": [listed]}
    with api.engine.connect() as owner:
        stored_rows = owner.execute(text("SELECT shared_link::text FROM shared_link")).scalars()
        secret = made["link"].rpartition("/")[2]
        assert not any(secret in row for row in stored_rows)


def test_what_was_accepted_before_is_in_it_though_it_is_not_drained(
    api: Api, ada: httpx.Client, anybody: httpx.Client
) -> None:
    with draining(api.settings):
        conversation = talk(ada)
        eventually(lambda: api.log.status().entries == 0)
    add(ada, conversation, "a moment ago")

    with ThreadPoolExecutor(1) as clients:
        sharing = clients.submit(share, ada, conversation)
        with draining(api.settings):
            made = sharing.result()

    assert said_in(shown(anybody, made)) == [*SAID, ("user", "a moment ago")]


@pytest.mark.usefixtures("drained")
def test_a_revoked_link_shows_nothing(
    api: Api, ada: httpx.Client, eve: httpx.Client, anybody: httpx.Client
) -> None:
    conversation = talk(ada)
    made = share(ada, conversation)
    assert eve.delete(f"/api/shares/{made['id']}").status_code == 404
    assert said_in(shown(anybody, made)) == SAID

    assert ada.delete(f"/api/shares/{made['id']}").status_code == 204

    never = anybody.get(f"/api/shared/{'0' * 43}")
    assert never.status_code == 404
    for client in (anybody, eve, ada):
        assert shown(client, made).content == never.content
        assert client.get(f"/api{made['link']}x").content == never.content
    assert eve.post(f"/api{made['link']}/import").status_code == 404
    assert ada.get("/api/shares").json() == {"links": []}
    assert rows(api, conversation) == 0
    assert ada.delete(f"/api/shares/{made['id']}").status_code == 404


@pytest.mark.usefixtures("drained")
def test_a_link_that_has_expired_shows_nothing(
    api: Api, ada: httpx.Client, anybody: httpx.Client
) -> None:
    conversation = talk(ada)
    made = share(ada, conversation, expires_in_days=1)
    with api.engine.begin() as owner:
        owner.execute(
            text("UPDATE shared_link SET expires_at = now() WHERE id = :id"), {"id": made["id"]}
        )

    assert shown(anybody, made).status_code == 404
    assert shown(ada, made).status_code == 404
    assert ada.get("/api/shares").json() == {"links": []}
    share(ada, conversation)
    assert rows(api, conversation) == 1


@pytest.mark.usefixtures("drained")
def test_a_link_for_users_shows_nothing_to_anybody_else(
    api: Api, ada: httpx.Client, eve: httpx.Client, anybody: httpx.Client
) -> None:
    made = share(ada, talk(ada), audience="signed_in")

    assert said_in(shown(eve, made)) == SAID
    assert shown(anybody, made).content == anybody.get(f"/api/shared/{'0' * 43}").content
    unreadable = {"Authorization": "Bearer a.b.c"}
    assert anybody.get(f"/api{made['link']}", headers=unreadable).status_code == 404
    with acting(api, make_key(eve, scopes=["write"])) as writer:
        assert shown(writer, made).status_code == 404
    with acting(api, make_key(eve, scopes=["read"])) as reader:
        assert said_in(shown(reader, made)) == SAID


@pytest.mark.usefixtures("drained")
@pytest.mark.parametrize("of", ["conversation", "account"])
def test_a_link_goes_with_what_it_is_of(api: Api, anybody: httpx.Client, of: str) -> None:
    with closing(api.person()) as person:
        conversation = talk(person)
        made = share(person, conversation)
        assert said_in(shown(anybody, made)) == SAID
        if of == "conversation":
            deleted = person.delete(f"/api/conversations/{conversation}").json()["entry_id"]
            after = {"read_after": deleted}
            eventually(lambda: person.get("/api/conversations/", params=after).status_code == 200)
        else:
            gone = person.post("/auth/me/delete", json={"password": PASSWORD})
            assert gone.status_code == 204

        assert shown(anybody, made).status_code == 404
        assert rows(api, conversation) == 0


def test_a_conversation_that_is_deleted_meanwhile_leaves_no_link(
    api: Api, ada: httpx.Client
) -> None:
    with draining(api.settings):
        conversation = talk(ada)
        eventually(lambda: api.log.status().entries == 0)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    with ThreadPoolExecutor(1) as clients, api.engine.connect() as drain:
        # As the drain does: the partition's lock, the tombstone, and the links that are there.
        locked = "SELECT FROM log_partition WHERE id = :id & 15 FOR UPDATE"
        drain.execute(text(locked), {"id": conversation})
        sharing = clients.submit(
            ada.post, f"/api/conversations/{conversation}/share", json={"audience": "public"}
        )
        with api.engine.connect() as watching:
            watching.execution_options(isolation_level="AUTOCOMMIT")
            eventually(lambda: watching.scalar(waiting))
        tombstone = "UPDATE conversation SET deleted_at = now() WHERE id = :id"
        drain.execute(text(tombstone), {"id": conversation})
        drain.execute(
            text("DELETE FROM shared_link WHERE conversation_id = :id"), {"id": conversation}
        )
        drain.commit()
        answer = sharing.result()

    # 503 on a machine that stood still for longer than a lock is waited for.
    assert answer.status_code in {404, 503}
    assert rows(api, conversation) == 0


@pytest.mark.usefixtures("drained")
def test_a_shared_conversation_is_imported_once_and_stays(
    ada: httpx.Client, eve: httpx.Client
) -> None:
    conversation = talk(ada)
    made = share(ada, conversation)

    taken = eve.post(f"/api{made['link']}/import")
    again = eve.post(f"/api{made['link']}/import").json()
    ada.delete(f"/api/shares/{made['id']}").raise_for_status()
    new = taken.json()["id"]
    copy = eve.get(
        f"/api/conversations/{new}/messages", params={"read_after": taken.json()["entry_id"]}
    ).json()["messages"]

    assert taken.status_code == 200
    assert (again["id"], again["messages"]) == (new, 0)
    assert [(one["role"], one["content"]) for one in copy] == SAID
    assert {one["user_id"] for one in copy} == {eve.get("/auth/me").json()["id"]}
    assert eve.get(f"/api/conversations/{new}").json()["title"] == "Links"
    assert ada.get(f"/api/conversations/{new}").status_code == 404
    theirs = ada.get(f"/api/conversations/{conversation}/messages").json()["messages"]
    assert not {one["id"] for one in copy} & {one["id"] for one in theirs}


@pytest.mark.usefixtures("drained")
def test_what_cannot_be_shared_is_refused(
    api: Api, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = talk(ada)
    path = f"/api/conversations/{conversation}/share"
    made = share(ada, conversation)
    empty = ada.post("/api/conversations/", json={}).json()["id"]

    assert ada.post(f"/api/conversations/{empty}/share").status_code == 422
    for body in ({"expires_in_days": 0}, {"audience": "nobody"}, {"more": 1}):
        assert ada.post(path, json=body).status_code == 422
    with monkeypatch.context() as patch:
        patch.setattr("api.reads.snapshots.BYTES_MOST", 10)
        assert ada.post(path).status_code == 422
    with api.engine.begin() as owner:
        copies = text(
            "INSERT INTO shared_link SELECT 'copy ' || n, sha256(cast('copy ' || n AS bytea)),"
            " user_id, conversation_id, title, messages, message_count, audience, created_at,"
            " expires_at FROM shared_link, generate_series(2, :most) AS n WHERE id = :id"
        )
        owner.execute(copies, {"most": MAX_LINKS, "id": made["id"]})
    assert ada.post(path).status_code == 409
    ada.delete(f"/api/shares/{made['id']}").raise_for_status()
    assert ada.post(path).status_code == 201
