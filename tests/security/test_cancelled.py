"""Requests cancelled in mid-flight: nobody ever gets an answer that was another's."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from api.core.settings import Settings
from api.local.postgres import EmbeddedPostgres
from api.main import create_app
from api.writes.group_commit import GroupCommit
from tests.security.careless import share_one_connection
from tests.support.draining import draining
from tests.support.scale import scaled, seed
from tests.support.servers import fresh_database, urls_of

pytestmark = pytest.mark.slow

USERS = 20
CANCELLED = scaled(1_000, full=100_000)
#: Requests of all users at once.
AT_ONCE = 60
LONGEST_SECONDS = 0.02


@dataclass
class Person:
    """Somebody with a conversation, whose every message says whose it is."""

    name: str
    headers: dict[str, str]
    user_id: int = 0
    conversation: int = 0
    #: Message id → its content, as answered.
    sent: dict[int, str] = field(default_factory=dict)


@dataclass
class Storm:
    client: httpx.AsyncClient
    people: list[Person]
    chance: random.Random
    cancelled: int = 0
    wrong: list[str] = field(default_factory=list)

    async def run(self, enough: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._go_on(enough))

    async def _go_on(self, enough: int) -> None:
        while self.cancelled < enough and len(self.wrong) < 100:
            person = self.chance.choice(self.people)
            request = asyncio.create_task(self.chance.choice([self._add, self._read])(person))
            if self.chance.random() < 0.2:
                await request
                continue
            await asyncio.sleep(self.chance.random() ** 3 * LONGEST_SECONDS)
            if request.cancel():
                self.cancelled += 1
            await asyncio.wait([request])

    async def _add(self, person: Person) -> None:
        content = f"{person.name} {self.chance.getrandbits(64):x}"
        answer = await self.client.post(
            f"/api/conversations/{person.conversation}/messages",
            json={"role": "user", "content": content},
            headers=person.headers,
        )
        if answer.status_code == 202:
            told = answer.json()
            if told["user_id"] != person.user_id or told["id"] in person.sent:
                self.wrong.append(f"{person.name}: {told}")
            person.sent[told["id"]] = content
        elif answer.status_code != 503:
            self.wrong.append(f"{person.name}: {answer.status_code}")

    async def _read(self, person: Person) -> None:
        path = f"/api/conversations/{person.conversation}"
        for url in (path, f"{path}/messages", "/api/conversations/"):
            answer = await self.client.get(url, headers=person.headers)
            others = [one.name for one in self.people if one is not person]
            if answer.status_code not in {200, 503} or any(n in answer.text for n in others):
                self.wrong.append(f"{person.name}: {url} {answer.status_code}")

    async def check_what_was_stored(self) -> None:
        """Every id that was answered must be that message, in that person's conversation."""
        for person in self.people:
            stored: dict[int, str] = {}
            while True:
                answer = await self.client.get(
                    f"/api/conversations/{person.conversation}/messages",
                    params={
                        "limit": 100,
                        "offset": len(stored),
                        "read_after": max(person.sent, default=person.conversation),
                    },
                    headers=person.headers,
                )
                if answer.status_code != 200:
                    self.wrong.append(f"{person.name}: {answer.status_code} at the end")
                    break
                page = answer.json()["messages"]
                stored |= {message["id"]: message["content"] for message in page}
                if len(page) < 100:
                    break
            for message_id, content in person.sent.items():
                if stored.get(message_id) != content:
                    self.wrong.append(f"{person.name}: {message_id} is not theirs")


@pytest.fixture
def settings(postgres_server: EmbeddedPostgres, redis_url: str, namespace: str) -> Settings:
    known: dict[str, Any] = urls_of(postgres_server, fresh_database(postgres_server))
    return Settings(
        _env_file=None,
        **known,
        redis_url=redis_url,
        log_namespace=namespace,
        secret_key=SecretStr("k" * 32),
        user_backlog_entries=0,
    )


async def storm(settings: Settings, enough: int) -> Storm:
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client,
    ):
        people = [await arrive(client, number) for number in range(USERS)]
        made = Storm(client, people, random.Random(seed()))
        await made.run(enough)
        await made.check_what_was_stored()
        return made


async def arrive(client: httpx.AsyncClient, number: int) -> Person:
    name = f"person-{number:02d}-own"
    account = {"username": name, "password": "correct horse battery"}
    made = await client.post("/auth/register", json=account | {"email": f"{name}@example.com"})
    token = (await client.post("/auth/login", json=account)).json()["access_token"]
    person = Person(name, {"Authorization": f"Bearer {token}"}, made.json()["id"])
    opened = await client.post("/api/conversations/", json={"title": name}, headers=person.headers)
    person.conversation = opened.json()["id"]
    return person


@contextmanager
def sharing_one_connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connection, submit = share_one_connection(settings)
    with monkeypatch.context() as patched:
        patched.setattr(GroupCommit, "submit", submit)
        yield
    connection.close()


@pytest.mark.timeout(3600)
def test_a_cancelled_request_leaves_nothing_for_the_next(settings: Settings) -> None:
    with draining(settings):
        seen = asyncio.run(storm(settings, CANCELLED))

    assert seen.cancelled >= CANCELLED
    assert sum(len(person.sent) for person in seen.people) > CANCELLED // 100
    assert seen.wrong == []


def test_a_shared_connection_turns_this_red(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def careless() -> Storm:
        with sharing_one_connection(settings, monkeypatch):
            return await storm(settings, 200)

    with draining(settings):
        seen = asyncio.run(careless())

    assert seen.wrong
