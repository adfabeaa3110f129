"""One account tries everything at once; another one's writes and reads are never refused."""

import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.core.settings import Settings
from tests.support.api_process import ApiProcess
from tests.support.draining import draining
from tests.support.hostile import LONG
from tests.support.scale import FULL, scaled

pytestmark = pytest.mark.slow

ROUNDS = scaled(20, full=100)
#: Under load the 99th percentile may be that many times what it is in calm.
MOST_TIMES_CALM = 3
PASSWORD = "correct horse battery staple"
LONG_MESSAGES = 20
ROOT = Path(__file__).parents[2]

_numbers = itertools.count(1)


@pytest.fixture
def settings(database_url: str, redis_url: str, namespace: str) -> Settings:
    return Settings(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        log_namespace=namespace,
        row_security="unchecked",
    )


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """An API in a process of its own, and a drain."""
    process = ApiProcess(
        {
            "DATABASE_URL": settings.database_url or "",
            "ROW_SECURITY": "unchecked",
            "REDIS_URL": settings.redis,
            "LOG_NAMESPACE": settings.log_namespace,
            "SECRET_KEY": "k" * 32,
        }
    )
    process.start()
    with draining(settings):
        yield process.url
    process.terminate()


class Person:
    """Somebody who is signed in, and a conversation of theirs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"person-{next(_numbers)}"
        self.http = httpx.Client(base_url=url, timeout=60)
        account = {"username": self.name, "password": PASSWORD}
        email = f"{self.name}@example.com"
        self.http.post("/auth/register", json=account | {"email": email}).raise_for_status()
        login = self.http.post("/auth/login", json=account).json()
        self.token = login["access_token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        self.id = self.http.post("/api/conversations/", json={}).json()["id"]
        self.messages = f"/api/conversations/{self.id}/messages"

    def write(self, content: str) -> httpx.Response:
        return self.http.post(self.messages, json={"role": "user", "content": content})


@contextmanager
def trying_everything(person: Person, *names: str) -> Iterator[list[str]]:
    """Have a person try everything meanwhile; afterwards the list says what was tried."""
    tried: list[str] = []
    arguments = [person.url, person.name, person.token, str(person.id), *names]
    command = [sys.executable, "-m", "tests.support.hostile", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as hostile:
        assert hostile.stdout is not None
        assert hostile.stdout.readline() == "started\n"
        yield tried
        printed, _ = hostile.communicate(timeout=100)
        tried += json.loads(printed)


def latencies(person: Person) -> list[float]:
    """Write and read ROUNDS times; each must be answered. Returns the seconds of each request."""
    taken = []
    for number in range(ROUNDS):
        begun = time.monotonic()
        written = person.write(f"message {number}")
        between = time.monotonic()
        read = person.http.get(person.messages, params={"limit": 20, "order": "desc"})
        taken += [between - begun, time.monotonic() - between]
        assert (written.status_code, read.status_code) == (202, 200), (written.text, read.text)
    return taken


def p99(taken: list[float]) -> float:
    return sorted(taken)[math.ceil(len(taken) * 0.99) - 1]


def test_whatever_one_user_tries_nothing_of_another_is_refused(url: str) -> None:
    hostile, eve = Person(url), Person(url)
    for _ in range(LONG_MESSAGES):
        assert hostile.write(LONG).status_code == 202
    calm = p99(latencies(eve))

    # A crowd shows what it does only without the others in its process.
    for names in ((), ("crowds",)):
        with trying_everything(hostile, *names) as tried:
            storm = p99(latencies(eve))
        assert len(tried) >= (1 if names else 6)
        print(f"p99 in calm {calm * 1000:.1f} ms, in storm {storm * 1000:.1f} ms")
        if FULL:
            assert storm <= MOST_TIMES_CALM * calm
    for person in (hostile, eve):
        person.http.close()
