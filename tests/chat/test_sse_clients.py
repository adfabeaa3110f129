"""Published event-stream clients, through a real nginx, on a stream that is cut twice.

Each is to get the whole text once, make one message, and stop.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest
import requests
import requests_sse
import sseclient

from tests.chat.events import STREAM, events
from tests.support.api import Api, StartApi
from tests.support.cutting import CuttingProxy
from tests.support.log_contents import said
from tests.support.nginx import nginx

CLIENTS = Path(__file__).parent / "sse_clients" / "clients.mjs"
MESSAGE = "a " * 40
#: A client that asks for ever is stopped then, and its test fails.
STOPS_WITHIN_SECONDS = 60


@dataclass(slots=True)
class Seen:
    """What a client was told."""

    text: str = ""
    ends: int = 0
    #: Events that an application cannot read.
    errors: int = 0
    #: The id of the last event.
    last: str = ""

    def take(self, event: str, data: str, event_id: str | None = None) -> None:
        """Take one event as an application does: one without data would raise."""
        told: dict[str, Any] = json.loads(data)
        if event == "delta":
            self.text += told["text"]
        self.ends += event == "end"
        self.last = event_id or self.last


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a client finds its stream."""

    base: str
    session: str
    token: str
    key: str

    @property
    def message_url(self) -> str:
        return f"{self.base}/api/chat/{self.session}/message"

    @property
    def headers(self) -> dict[str, str]:
        return STREAM | {"Authorization": f"Bearer {self.token}"}

    def watch_url(self, turn_id: int) -> str:
        return f"{self.base}/api/chat/{self.session}/stream?turn={turn_id}"

    def begin(self) -> int:
        """Say something and go away after the first event; return the turn."""
        with httpx.stream(
            "POST", self.message_url, json={"message": MESSAGE}, headers=self.headers
        ) as response:
            return int(next(events(response))["data"]["messageId"])


@pytest.fixture(scope="module")
def slow_api(start_api: StartApi) -> Api:
    """An API whose assistant takes 20 ms for a word."""
    return start_api(demo_word_ms=20)


@pytest.fixture(scope="module")
def proxied(slow_api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nginx(tmp_path_factory.mktemp("nginx"), slow_api.url) as url:
        yield url


@pytest.fixture
def turn(slow_api: Api, proxied: str) -> Iterator[Turn]:
    """A turn behind nginx, and a proxy that cuts its stream twice, once right after `start`."""
    proxy = CuttingProxy(int(proxied.rpartition(":")[2]), cuts=[3, 0])
    with closing(slow_api.person()) as ada, ExitStack() as running:
        running.enter_context(proxy.running())
        session = ada.post("/api/chat/start").json()["sessionId"]
        token = ada.headers["Authorization"].removeprefix("Bearer ")
        yield Turn(f"http://127.0.0.1:{proxy.port}", session, token, "mine")
    assert proxy.cuts_left == []


def npm(name: str, *arguments: str) -> Seen:
    told = subprocess.run(
        ["node", str(CLIENTS), name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=STOPS_WITHIN_SECONDS,
    )
    assert told.returncode == 0, told.stderr
    seen: dict[str, Any] = json.loads(told.stdout)
    return Seen(**seen)


def eventsource(turn: Turn) -> Seen:
    return npm("eventsource", turn.watch_url(turn.begin()), turn.token)


def eventsource_client(turn: Turn) -> Seen:
    return npm("eventsource-client", turn.message_url, turn.token, turn.key)


def fetch_event_source(turn: Turn) -> Seen:
    return npm("fetch-event-source", turn.message_url, turn.token, turn.key)


def by_httpx_sse(turn: Turn) -> Seen:
    seen, headers = Seen(), turn.headers | {"Idempotency-Key": turn.key}
    with httpx.Client(timeout=60) as client:
        while not seen.ends:
            known = {"Last-Event-ID": seen.last} if seen.last else {}
            try:
                with httpx_sse.connect_sse(
                    *(client, "POST", turn.message_url),
                    json={"message": MESSAGE},
                    headers=headers | known,
                ) as source:
                    for event in source.iter_sse():
                        seen.take(event.event, event.data, event.id)
            except httpx.RemoteProtocolError:
                continue
    return seen


def by_sseclient_py(turn: Turn) -> Seen:
    seen, turn_id = Seen(), turn.begin()
    while not seen.ends:
        known = {"Last-Event-ID": seen.last} if seen.last else {}
        with requests.get(
            turn.watch_url(turn_id), headers=turn.headers | known, stream=True, timeout=60
        ) as response:
            try:
                for event in sseclient.SSEClient(response.iter_content(None)).events():
                    seen.take(event.event, event.data, event.id)
            except requests.exceptions.ChunkedEncodingError:
                continue
    return seen


def by_requests_sse(turn: Turn) -> Seen:
    seen = Seen()
    with (
        requests_sse.EventSource(
            turn.watch_url(turn.begin()),
            headers=turn.headers,
            reconnection_time=timedelta(seconds=0.2),
            timeout=60,
        ) as source,
        suppress(requests_sse.InvalidStatusCodeError),
    ):  # 204: it is to stop
        for event in source:
            seen.take(event.type, event.data, event.last_event_id)
    return seen


@pytest.mark.parametrize(
    "read",
    [
        eventsource,
        eventsource_client,
        fetch_event_source,
        by_httpx_sse,
        by_sseclient_py,
        by_requests_sse,
    ],
)
def test_a_stream_that_is_cut_twice_is_read_once(
    slow_api: Api, turn: Turn, read: Callable[[Turn], Seen]
) -> None:
    seen = read(turn)

    (_, question), (_, answer) = said(slow_api, int(turn.session.removeprefix("sess_"), 16))
    assert (seen.text, seen.ends) == (answer, 1)
    assert question == MESSAGE


@pytest.mark.parametrize("read", [fetch_event_source, by_httpx_sse])
def test_a_silent_model_makes_no_client_ask_again(
    start_api: StartApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Turn], Seen],
) -> None:
    """The heartbeat, with an empty line after it, was an event without data for these two."""
    monkeypatch.setattr("api.chat.streaming.subscriber.SILENCE_SECONDS", 0.05)
    silent = start_api(demo_word_ms=120)
    with nginx(tmp_path, silent.url) as url, closing(silent.person()) as ada:
        session = ada.post("/api/chat/start").json()["sessionId"]
        token = ada.headers["Authorization"].removeprefix("Bearer ")
        seen = read(Turn(url, session, token, "mine"))

    assert seen.errors == 0
    (_, _), (_, answer) = said(silent, int(session.removeprefix("sess_"), 16))
    assert (seen.text, seen.ends) == (answer, 1)
