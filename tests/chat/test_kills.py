"""Streamed turns through kills and stops, with real API processes.

200 turns with FULL=1, a twentieth of it otherwise. Each that was accepted ends with exactly one
stored answer, which is a prefix of what the assistant had to say and holds all that any client was
shown.
"""

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest
from redis import Redis

from api.chat.assistants.demo import reply_to
from api.core.log import Log
from tests.support.api_process import START_SECONDS, ApiProcess
from tests.support.log_requests import said_in
from tests.support.scale import scaled, seed
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

WANTED = scaled(10, full=200)
TURNS_AT_ONCE = 20
WORD_MS = 40
_numbers = itertools.count(1)

PASSWORD = "correct horse battery staple"


@dataclass
class Shown:
    """One turn, as a client saw it."""

    session: str
    message: str
    has_begun: bool = False
    text: str = ""
    end: dict[str, object] = field(default_factory=dict)


@pytest.fixture
def environment(database_url: str, redis_url: str, namespace: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "ROW_SECURITY": "unchecked",  # one role, the owner's, for all
        "REDIS_URL": redis_url,
        "LOG_NAMESPACE": namespace,
        "SECRET_KEY": "k" * 32,
        "DEMO_WORD_MS": str(WORD_MS),
    }


@pytest.fixture
def start_api(environment: dict[str, str]) -> Iterator[Callable[[], ApiProcess]]:
    started: list[ApiProcess] = []

    def start() -> ApiProcess:
        started.append(ApiProcess(environment))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.terminate()


@contextmanager
def signed_in(url: str) -> Iterator[httpx.Client]:
    with closing(httpx.Client(base_url=url, timeout=60)) as client:
        name = f"person-{next(_numbers)}"
        account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        client.post("/auth/register", json=account).raise_for_status()
        login = client.post("/auth/login", json={"username": name, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        yield client


def watch(url: str, headers: httpx.Headers, shown: Shown) -> None:
    """Say something and read what is shown until the end, or until the process dies."""
    path = f"/api/chat/{shown.session}/message"
    body = {"message": shown.message}
    accept = {"Authorization": headers["Authorization"], "Accept": "text/event-stream"}
    with (
        suppress(httpx.TransportError),
        httpx.Client(base_url=url, timeout=60) as client,
        client.stream("POST", path, json=body, headers=accept) as response,
    ):
        event = ""
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "start":
                shown.has_begun = True
            elif name == "data" and event == "delta":
                shown.text += json.loads(value)["text"]
            elif name == "data" and event == "end":
                shown.end = json.loads(value)


@pytest.mark.timeout(2 * START_SECONDS + 12 * WANTED)
def test_every_turn_ends_with_one_answer_whatever_is_killed_or_stopped(
    start_api: Callable[[], ApiProcess], redis_client: Redis, namespace: str
) -> None:
    doomed, survivor = start_api(), start_api()
    log = Log(redis_client, namespace)
    chance = random.Random(seed())
    judged = 0
    with signed_in(survivor.url) as client:
        while judged < WANTED:
            turns = [
                Shown(client.post("/api/chat/start").json()["sessionId"], f"Hello {n} " * 8)
                for n in range(TURNS_AT_ONCE)
            ]
            watching = [
                threading.Thread(target=watch, args=(doomed.url, client.headers, turn))
                for turn in turns
            ]
            for thread in watching:
                thread.start()
            begun = chance.randint(TURNS_AT_ONCE // 2, TURNS_AT_ONCE)
            eventually(lambda: sum(turn.has_begun for turn in turns) >= begun)  # noqa: B023 - used at once
            for turn in chance.sample(turns, TURNS_AT_ONCE // 3):
                time.sleep(chance.uniform(0, 0.06))
                client.post(f"/api/chat/{turn.session}/stop").raise_for_status()
            time.sleep(chance.uniform(0, 0.5))
            doomed.kill()
            killed_at = time.monotonic()
            for thread in watching:
                thread.join(30)
            accepted = [turn for turn in turns if said_in(log, turn.session, by="user")]
            for turn in accepted:
                eventually(partial(said_in, log, turn.session))
            took_seconds = time.monotonic() - killed_at
            doomed.start()

            statuses = [judge(turn, said_in(log, turn.session)) for turn in accepted]
            assert not any(turn.has_begun for turn in turns if turn not in accepted)
            interrupted = statuses.count("interrupted")
            judged += len(statuses)
            print(f"{judged}: {interrupted} interrupted, stored in {took_seconds:.1f} s")
            assert interrupted > 0


def judge(turn: Shown, stored: list[tuple[str, str]]) -> str:
    whole = reply_to([], turn.message)
    ((status, text),) = stored
    assert whole.startswith(text), "not what the assistant said"
    assert text.startswith(turn.text), "a client was shown what is not stored"
    assert status == ("stored" if text == whole else "interrupted") or text == whole
    if turn.end:
        assert (turn.end["response"], turn.end["status"]) == (text, status)
    return status


def test_a_process_that_is_told_to_end_stores_what_was_said(
    start_api: Callable[[], ApiProcess], redis_client: Redis, namespace: str
) -> None:
    leaving = start_api()
    with signed_in(leaving.url) as client:
        turn = Shown(client.post("/api/chat/start").json()["sessionId"], "Hello " * 100)
        watching = threading.Thread(target=watch, args=(leaving.url, client.headers, turn))
        watching.start()
        eventually(lambda: bool(turn.text))

    leaving.terminate()
    watching.join(20)

    ((status, text),) = said_in(Log(redis_client, namespace), turn.session)
    assert text.startswith(turn.text)
    assert status == ("stored" if text == reply_to([], turn.message) else "interrupted")
