"""A rolling upgrade from a version whose log has entries of another format."""

from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.core.audit import audit
from api.core.entries import read_entry
from api.core.ids import partition_of
from tests.support.api import PASSWORD
from tests.support.log_requests import bound
from tests.support.waiting import eventually
from tests.upgrade.conftest import Site

#: Four processes are started.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Person:
    """Somebody who is signed in at any API, and has one conversation."""

    def __init__(self, site: Site, name: str, url: str) -> None:
        self._client = site.client
        known = {"username": name, "password": PASSWORD}
        email = {"email": f"{name}@example.com"}
        registered = self._client.post(f"{url}/auth/register", json=known | email)
        assert registered.status_code == 201, registered.text
        token = self._client.post(f"{url}/auth/login", json=known).json()["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        opened = self._client.post(f"{url}/api/conversations/", json={}, headers=self._headers)
        self.conversation = int(opened.json()["id"])
        self.partition = partition_of(self.conversation)

    def say(self, url: str, *words: str) -> None:
        for content in words:
            answer = self._client.post(
                f"{url}/api/conversations/{self.conversation}/messages",
                json={"role": "user", "content": content},
                headers=self._headers,
            )
            assert answer.status_code == 202, answer.text


def stored(site: Site, person: Person) -> list[str]:
    """What PostgreSQL has of somebody's conversation; positions have no gaps."""
    with site.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT position, content FROM message WHERE conversation_id = :id ORDER BY 1"),
            {"id": person.conversation},
        ).all()
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    return [row.content for row in rows]


def formats(site: Site, person: Person) -> str:
    """The formats of the entries of somebody's conversation, as they stand in the log."""
    entries: Any = site.log.redis.xrange(site.log.key(person.conversation, "log"))
    return "".join(
        (fields.get(b"v") or fields[b"h"][:1]).decode()
        for entry_id, fields in entries
        if read_entry(entry_id, [*chain(*fields.items())]).conversation_id == person.conversation
    )


def assert_nothing_is_lost(site: Site) -> None:
    with site.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM dead_letter")).scalar_one() == 0
    assert [one for one in audit(bound(site.log), site.engine) if not one.balanced] == []


def test_what_a_worker_of_before_does_not_know_waits_for_a_new_one_which_knows_both(
    site: Site, before: Path
) -> None:
    old_api, new_api = site.start_apis(before, None)
    ada = Person(site, "ada", new_api.url)
    # Somebody in another partition: where they are, their ids say, which are left to chance.
    others = (Person(site, f"eve-{number}", old_api.url) for number in count())
    eve = next(other for other in others if other.partition != ada.partition)
    # An API was upgraded before the workers.
    ada.say(new_api.url, "one")
    ada.say(old_api.url, "two")
    ada.say(new_api.url, "three")
    eve.say(old_api.url, "hers")
    assert (formats(site, ada), formats(site, eve)) == ("2212", "11")

    old_worker = site.start_worker(before)

    # It says which partition waits, and goes on with the others.
    waits = f"partition {ada.partition} waits for a newer worker: its next entry has format"
    eventually(lambda: waits in old_worker.said(), otherwise=old_worker.said)
    eventually(lambda: stored(site, eve) == ["hers"])
    assert stored(site, ada) == []
    assert formats(site, ada) == "2212"
    assert_nothing_is_lost(site)

    # The old one is still there when the new one comes.
    new_worker = site.start_worker(None)

    eventually(lambda: stored(site, ada) == ["one", "two", "three"], otherwise=new_worker.said)
    # Workers first: from now on it is as it is in an upgrade that keeps the order.
    old_worker.end()
    ada.say(old_api.url, "four")
    eventually(lambda: stored(site, ada) == ["one", "two", "three", "four"])
    eventually(lambda: site.log.heads() == [])
    assert_nothing_is_lost(site)
