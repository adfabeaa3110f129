"""What becomes of answers and exports when the session that asked for them ends."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.core.database import writing
from tests.chat.events import STREAM, events
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.draining import draining
from tests.support.keys import acting, make_key
from tests.support.log_requests import said_in
from tests.support.model_server import ModelServer, held, model_server
from tests.support.waiting import eventually

End = Callable[[httpx.Client], httpx.Response]

#: Bytes of a large conversation.
SIZE = 40_000_000
#: Milliseconds to the next look for ended sessions: a second outside of tests.
POLL_MS = 20
#: Ids of conversations that were imported, not made by the log.
_conversations = itertools.count(1)
ENDS: dict[str, End] = {
    "signing out": lambda ada: ada.post("/auth/logout"),
    "a new password": lambda ada: ada.post(
        "/auth/password", json={"current_password": PASSWORD, "new_password": "another password"}
    ),
}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with model_server() as server:
        yield server


@pytest.fixture(scope="module")
def api(start_api: StartApi, model: ModelServer) -> Iterator[Api]:
    """An API that looks often for ended sessions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.accounts.revocations.POLL_SECONDS", POLL_MS / 1000)
        yield start_api(
            assistant="openai", openai_base_url=model.url, openai_api_key=SecretStr("none")
        )


@pytest.fixture
def goes_on(model: ModelServer) -> Iterator[threading.Event]:
    """The next answer stops in its middle until this is set."""
    event = threading.Event()
    model.script.append(held(event))
    yield event
    event.set()


@pytest.fixture
def other(api: Api, ada: httpx.Client) -> Iterator[httpx.Client]:
    """Another connection of the same session."""
    with closing(api.client()) as client:
        client.headers["Authorization"] = ada.headers["Authorization"]
        yield client


def read_until_cut(response: httpx.Response, after_first: Callable[[], object]) -> list[str]:
    """Read a stream's events, and do something after its first words; return their names."""
    seen: list[str] = []
    with suppress(httpx.TransportError):
        for event in events(response):
            seen.append(event["event"])
            if seen.count("delta") == 1:
                after_first()
        pytest.fail("the stream came to its end")
    return seen


@pytest.mark.parametrize("how", ENDS)
def test_a_stream_is_cut_when_its_session_ends_and_the_whole_answer_is_stored(
    *,
    api: Api,
    ada: httpx.Client,
    other: httpx.Client,
    session: str,
    goes_on: threading.Event,
    how: str,
) -> None:
    path = f"/api/chat/{session}/message"
    with ada.stream("POST", path, json={"message": "Why?"}, headers=STREAM) as response:
        seen = read_until_cut(response, lambda: ENDS[how](other).raise_for_status())
    goes_on.set()
    eventually(lambda: said_in(api.log, session))

    assert seen == ["start", "delta"]
    assert said_in(api.log, session) == [("stored", "Half an answer.")]


def test_who_watches_again_is_cut_too(
    ada: httpx.Client, other: httpx.Client, session: str, goes_on: threading.Event
) -> None:
    path = f"/api/chat/{session}/message"
    with ada.stream("POST", path, json={"message": "Why?"}, headers=STREAM) as response:
        turn = next(events(response))["data"]["messageId"]
    with ada.stream("GET", f"/api/chat/{session}/stream", params={"turn": turn}) as response:
        seen = read_until_cut(response, lambda: other.post("/auth/logout").raise_for_status())

    assert seen == ["start", "delta"]
    assert not goes_on.is_set()


@pytest.mark.parametrize("how", ["revoking the key", "deleting the subject"])
def test_a_stream_that_a_key_reads_is_cut_too(
    api: Api, ada: httpx.Client, goes_on: threading.Event, how: str
) -> None:
    key = make_key(ada, acts_for="subjects")
    with (
        draining(api.settings),
        acting(api, key, "grace") as here,
        acting(api, key, "grace") as there,
    ):
        ends = {
            "revoking the key": lambda: ada.delete(f"/auth/keys/{key['id']}"),
            "deleting the subject": lambda: there.post("/auth/me/delete", json={}),
        }
        path = f"/api/chat/{here.post('/api/chat/start').json()['sessionId']}/message"
        with here.stream("POST", path, json={"message": "Why?"}, headers=STREAM) as response:
            seen = read_until_cut(response, lambda: ends[how]().raise_for_status())

    assert seen == ["start", "delta"]
    assert not goes_on.is_set()


def test_deleting_the_account_cuts_its_streams(
    *,
    api: Api,
    ada: httpx.Client,
    other: httpx.Client,
    session: str,
    goes_on: threading.Event,
) -> None:
    def delete() -> None:
        other.post("/auth/me/delete", json={"password": PASSWORD}).raise_for_status()

    path = f"/api/chat/{session}/message"
    with (
        draining(api.settings),
        ada.stream("POST", path, json={"message": "Why?"}, headers=STREAM) as response,
    ):
        seen = read_until_cut(response, delete)

    assert seen == ["start", "delta"]
    assert not goes_on.is_set()


@pytest.mark.parametrize("how", ENDS)
def test_a_whole_answer_is_given_and_stored_though_its_session_ends(
    *,
    api: Api,
    ada: httpx.Client,
    other: httpx.Client,
    session: str,
    goes_on: threading.Event,
    how: str,
) -> None:
    path = f"/api/chat/{session}/message"
    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(ada.post, path, json={"message": "Why?"})
        eventually(lambda: said_in(api.log, session, by="user"))
        ENDS[how](other).raise_for_status()
        goes_on.set()
        answer = asked.result(60)

    assert answer.status_code == 200
    assert said_in(api.log, session) == [("stored", answer.json()["response"])]


@pytest.fixture
def large(api: Api, ada: httpx.Client) -> int:
    """A conversation of ada's, of 40 MB, which no socket's buffers hold; returns its id."""
    known = {"owner": ada.get("/auth/me").json()["id"], "id": next(_conversations)}
    with writing(api.engine) as db:
        db.connection().execute(
            text(
                "INSERT INTO conversation (id, user_id, message_count, created_at, updated_at)"
                " VALUES (:id, :owner, 400, now(), now())"
            ),
            known,
        )
        db.connection().execute(
            text(
                "INSERT INTO message"
                " (id, conversation_id, user_id, position, role, content, status, created_at)"
                " SELECT :id * 1000 + n, :id, :owner, n, 'user', repeat('x', 100000),"
                " 'stored', now() FROM generate_series(1, 400) n"
            ),
            known,
        )
    return int(known["id"])


def test_an_export_to_a_slow_reader_is_cut_when_its_session_ends(
    ada: httpx.Client, other: httpx.Client, large: int
) -> None:
    received = 0
    with ada.stream("GET", "/api/export") as response:
        chunks = response.iter_bytes(1024)
        next(chunks)
        other.post("/auth/logout").raise_for_status()
        eventually(lambda: other.get("/auth/me").status_code == 401)
        with suppress(httpx.TransportError):
            for chunk in chunks:
                received += len(chunk)
            pytest.fail("the export came to its end")

    assert large
    assert received < SIZE


def test_an_export_ends_where_it_began(
    api: Api, ada: httpx.Client, other: httpx.Client, large: int
) -> None:
    with (
        draining(api.settings),
        ada.stream("GET", "/api/export") as response,
    ):
        found = response.iter_lines()
        first = [next(found), next(found)]
        path = f"/api/conversations/{large}/messages"
        later = [
            other.post("/api/conversations/", json={}).json()["id"],
            other.post(path, json={"role": "user", "content": "later"}).json()["id"],
        ]
        other.get("/api/conversations/", params={"read_after": later}).raise_for_status()
        shown = [json.loads(line) for line in [*first, *found]]

    assert [one["message_count"] for one in shown if one["type"] == "conversation"] == [400]
    assert shown[-1] == {"type": "end", "conversations": 1, "messages": 400, "assets": 0}
