"""How many statements a request sends to PostgreSQL. Writes send none: the log knows enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg2.extensions
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from tests.support.api import Api
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("drained")


@pytest.fixture
def talk(ada: httpx.Client) -> dict[str, Any]:
    """A session with a turn in it, all of it in PostgreSQL, the title too."""
    session = dict(ada.post("/api/chat/start").json())
    turn = ada.post(f"/api/chat/{session['sessionId']}/message", json={"message": "hello"}).json()
    ada.get(
        f"/api/chat/{session['sessionId']}/history", params={"read_after": turn["replyId"]}
    ).raise_for_status()
    conversation = f"/api/conversations/{session['conversationId']}"
    eventually(lambda: ada.get(conversation).json()["title"])
    return session | {"replyId": turn["replyId"]}


@contextmanager
def statements(api: Api) -> Iterator[list[str]]:
    """Collect what the API sends meanwhile: BEGIN and COMMIT, where they come, as one more.

    The drain, in the same process, has another login.
    """
    sent: list[str] = []

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, variables: Any = None) -> None:
            # A ping of an idle connection has neither; to prepare is done once for a connection.
            if ("FROM" in query or "EXECUTE" in query) and not query.startswith("PREPARE"):
                sent.append(query)
                if not self.connection.autocommit:
                    sent.append("BEGIN, COMMIT")
            super().execute(query, variables)

    def note(connection: Any, *_: Any) -> None:
        if connection.info.user == api.settings.database.username:
            connection.cursor_factory = Cursor

    def forget(connection: Any, *_: Any) -> None:
        if connection is not None:
            connection.cursor_factory = None

    event.listen(Pool, "checkout", note)
    event.listen(Pool, "checkin", forget)
    try:
        yield sent
    finally:
        event.remove(Pool, "checkout", note)
        event.remove(Pool, "checkin", forget)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/conversations/", 1),
        ("/api/conversations/?q=hello", 1),
        ("/api/conversations/{conversationId}", 2),
        ("/api/conversations/{conversationId}/messages", 1),
        ("/api/conversations/{conversationId}/messages?offset=1", 1),
        ("/api/conversations/{conversationId}/messages?before=2", 1),
        ("/api/conversations/{conversationId}/messages?read_after={replyId}", 1),
        ("/api/chat/{sessionId}/history", 1),
        ("/api/chat/{sessionId}/history?limit=1", 1),
        ("/api/chat/{sessionId}/history?read_after={replyId}", 1),
        ("/auth/me", 2),
    ],
)
def test_a_read_is_so_many_statements(
    api: Api, ada: httpx.Client, talk: dict[str, Any], path: str, expected: int
) -> None:
    with statements(api) as sent:
        ada.get(path.format(**talk)).raise_for_status()

    assert len(sent) == expected, sent


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/conversations/", {}),
        ("POST", "/api/conversations/{conversationId}/messages", {"role": "user", "content": "x"}),
        ("PATCH", "/api/conversations/{conversationId}", {"title": "x"}),
        ("DELETE", "/api/conversations/{conversationId}", None),
        ("POST", "/api/chat/start", None),
        ("POST", "/api/chat/{sessionId}/message", {"message": "x"}),
        ("DELETE", "/api/chat/{sessionId}", None),
    ],
)
def test_a_write_is_no_statement_at_all(
    api: Api, ada: httpx.Client, talk: dict[str, Any], method: str, path: str, body: object
) -> None:
    with statements(api) as sent:
        ada.request(method, path.format(**talk), json=body).raise_for_status()

    assert sent == []
