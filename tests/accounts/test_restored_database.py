"""PostgreSQL goes back to before an account was made: its tokens reach nobody else's chats."""

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from sqlalchemy import text

from tests.support.api import Api
from tests.support.draining import draining
from tests.support.waiting import eventually


@pytest.fixture
def lost(api: Api, ada: httpx.Client) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Somebody of whom the restored database knows nothing, and who registered after it."""
    with closing(api.person()) as lost:
        bob = lost.get("/auth/me").json()["id"]
        before = ada.get("/auth/me").json()["id"]
        with api.engine.begin() as connection:
            # As a dump of that moment has them: the rows, and where an identity column stood.
            connection.execute(text("DELETE FROM session WHERE user_id = :bob"), {"bob": bob})
            connection.execute(text('DELETE FROM "user" WHERE id = :bob'), {"bob": bob})
            counter = "SELECT pg_get_serial_sequence('\"user\"', 'id')"
            if sequence := connection.scalar(text(counter)):
                connection.execute(text("SELECT setval(:s, :n)"), {"s": sequence, "n": before})
        with closing(api.person()) as carol:
            yield lost, carol


def test_a_token_of_a_lost_account_reaches_nobody_else(
    api: Api, lost: tuple[httpx.Client, httpx.Client]
) -> None:
    bob, carol = lost
    with draining(api.settings):
        chat = carol.post("/api/conversations/", json={"title": "Carol's"}).json()["id"]
        path = f"/api/conversations/{chat}/messages"
        carol.post(path, json={"role": "user", "content": "hers"}).raise_for_status()
        seen = carol.get(path, params={"read_after": chat}).json()

        read = [bob.get(p).status_code for p in ("/auth/me", "/api/conversations/", path)]
        written = bob.post(path, json={"role": "user", "content": "his"}).status_code

        assert read == [401, 401, 401]
        # To a conversation of somebody else, which the log knows, as to one that does not exist.
        assert written == 404
        assert carol.get(path).json()["total"] == seen["total"] == 1


def test_what_a_lost_account_writes_is_refused_once_the_drain_has_met_it(
    api: Api, lost: tuple[httpx.Client, httpx.Client]
) -> None:
    bob, carol = lost
    with draining(api.settings):
        eventually(lambda: bob.post("/api/conversations/", json={}).status_code == 401)
        carol.post("/api/conversations/", json={}).raise_for_status()
