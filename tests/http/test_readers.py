"""Readers that ask for much, or take nothing of what they asked for."""

import asyncio
import itertools
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text

from api.http import protocol
from api.reads import slots
from tests.support.api import Api
from tests.support.rows import add_conversation
from tests.support.waiting import eventually

#: Far more than the buffers of two sockets hold.
MESSAGES, LENGTH = 40, 100_000

_numbers = itertools.count(1)


@pytest.fixture
def talk(api: Api, ada: httpx.Client) -> int:
    """A conversation of ada's, of many long messages."""
    owner = ada.get("/auth/me").json()["id"]
    conversation = 16 * 100 * next(_numbers)
    add_conversation(api.engine, owner, conversation)
    with api.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO message (id, conversation_id, user_id, position, role, content,"
                " status, created_at) SELECT :talk + 16 * n, :talk, :owner, n, 'user',"
                " repeat('🥛', :length), 'stored', now() FROM generate_series(1, :most) n"
            ),
            {"talk": conversation, "owner": owner, "length": LENGTH, "most": MESSAGES},
        )
        connection.execute(
            text("UPDATE conversation SET message_count = :most WHERE id = :talk"),
            {"talk": conversation, "most": MESSAGES},
        )
    return conversation


@contextmanager
def asking(api: Api, client: httpx.Client, path: str, times: int = 1) -> Iterator[socket.socket]:
    """Ask for something on a connection of its own, and read nothing of the answer."""
    where = urlsplit(api.url)
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(20)
        opened.connect((where.hostname, where.port))
        token = client.headers["Authorization"]
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n"
        opened.sendall(times * request.encode())
        yield opened


def ends(opened: socket.socket) -> bool:
    """Tell whether the server ended a connection whose rest is read now."""
    try:
        while opened.recv(1 << 20):
            pass
    except ConnectionResetError:
        return True
    return True


def test_pages_of_long_messages_end_at_a_size_and_all_are_read(
    ada: httpx.Client, talk: int
) -> None:
    path = f"/api/conversations/{talk}/messages"
    positions: list[int] = []
    while len(positions) < MESSAGES:
        answer = ada.get(path, params={"limit": 100, "after": len(positions)})
        assert len(answer.content) < 1024 * 1024 + 10_000
        positions += [message["position"] for message in answer.json()["messages"]]
    history = ada.get(f"/api/chat/sess_{talk:x}/history").json()

    assert positions == list(range(1, MESSAGES + 1))
    assert [message["id"] for message in history["messages"]] == [talk + 16 * 39, talk + 16 * 40]
    assert history["totalCount"] == MESSAGES


@pytest.mark.parametrize(
    ("path", "times"), [("/api/conversations/{}/messages", 20), ("/api/export", 1)]
)
def test_an_answer_that_nobody_takes_is_given_up(
    api: Api,
    ada: httpx.Client,
    talk: int,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    times: int,
) -> None:
    monkeypatch.setattr(protocol, "PROGRESS_SECONDS", 0.3)
    services = api.app.state.services

    with asking(api, ada, path.format(talk), times) as unread:
        eventually(lambda: services.read_slots._users or services.export_slots._users)

        eventually(lambda: not services.read_slots._users and not services.export_slots._users)

        assert ends(unread)


def test_an_answer_is_given_up_only_if_nothing_of_it_was_taken_since_the_last_look(
    api: Api, ada: httpx.Client, talk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[protocol.Connection] = []
    watch = protocol.Connection._watch

    def note(connection: protocol.Connection) -> None:
        watched.append(connection)
        watch(connection)

    monkeypatch.setattr(protocol.Connection, "_watch", note)

    def look(connection: protocol.Connection) -> bool:
        """Look, as the timer does; return whether that ended the connection."""

        async def looked() -> bool:
            connection._look()
            return connection.transport.is_closing()

        return asyncio.run_coroutine_threadsafe(looked(), connection.loop).result(20)

    with asking(api, ada, "/api/export"):
        connection = eventually(lambda: next(iter(watched), None))
        assert connection

        assert not look(connection)
        connection._untaken = (connection._untaken or 0) + 1  # before the client took something
        assert not look(connection)
        assert look(connection)


def test_a_user_who_reads_much_waits_and_others_do_not(
    api: Api, ada: httpx.Client, eve: httpx.Client, talk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "WAIT_SECONDS", 0.3)
    services = api.app.state.services
    with ExitStack() as unread:
        for _ in range(slots.READS_PER_USER):
            path = f"/api/conversations/{talk}/messages"
            unread.enter_context(asking(api, ada, path, 20))
        eventually(lambda: services.read_slots._users)

        def refusal() -> httpx.Response | None:
            answer = ada.get("/api/conversations/")
            return answer if answer.status_code == 429 else None

        refused = eventually(refusal)
        assert refused is not None
        assert int(refused.headers["Retry-After"]) >= 1
        assert eve.get("/api/conversations/").status_code == 200
    eventually(lambda: ada.get("/api/conversations/").status_code == 200)


def test_many_reads_of_one_user_at_a_time_are_all_answered(api: Api, ada: httpx.Client) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: ada.get("/api/conversations/").status_code, range(64)))

    assert answers == [200] * 64
    with closing(api.client()) as anybody:
        assert anybody.get("/api/conversations/").status_code == 401
    assert not api.app.state.services.read_slots._users
