"""A running API per test module, and people who are signed in to it."""

import itertools
import secrets
import ssl
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from pydantic import SecretStr
from redis.exceptions import RedisError
from sqlalchemy import Engine

from api.accounts.repositories import UserRepository
from api.accounts.session_store import SessionStore
from api.accounts.tokens import Tokens
from api.core import redis_client
from api.core.database import Viewer, make_engine, writing
from api.core.ids import partition_of
from api.core.log import Log
from api.core.settings import Settings
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from api.main import create_app
from tests.support.log_requests import bound
from tests.support.servers import drop_database, fresh_database, urls_of
from tests.support.serving import serving

PASSWORD = "correct horse battery staple"
#: Made once, like what a client needs to speak TLS, which none here does: both take a while.
PASSWORD_HASH = PasswordHasher().hash(PASSWORD)
_TLS = ssl.create_default_context()

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Api:
    """A running API and what it was started with."""

    url: str
    settings: Settings
    app: FastAPI
    log: Log
    engine: Engine  #: the database, as its owner

    def client(self) -> httpx.Client:
        """Somebody who is not signed in."""
        return httpx.Client(base_url=self.url, timeout=60, verify=_TLS)

    def person(self) -> httpx.Client:
        """Somebody new who is signed in, as registration and login leave it."""
        name = f"person-{next(_numbers)}"
        with writing(self.engine) as session:
            user = UserRepository(session).add(name, f"{name}@example.com", PASSWORD_HASH)
        with writing(self.engine, Viewer(user.id)) as session:
            sessions = SessionStore(self.settings, self.log)
            opened = sessions.create(session, user.id, rotates=True)
        assert self.settings.secret_key
        key = self.settings.secret_key.get_secret_value()
        tokens = Tokens(key, minutes=self.settings.access_token_minutes)
        token = tokens.issue(user.id, opened.session_id)
        client = self.client()
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    def open_in(self, partitions: Collection[int]) -> list[int]:
        """Open a conversation in each of some partitions; return their ids, in that order.

        A conversation is in its owner's partition, which is left to chance.
        """
        opened: dict[int, int] = {}
        while not opened.keys() >= set(partitions):
            with closing(self.person()) as person:
                user = person.get("/auth/me").json()["id"]
                if partition_of(user) in set(partitions) - opened.keys():
                    answer = person.post("/api/conversations/", json={})
                    opened[partition_of(user)] = answer.json()["id"]
        return [opened[partition] for partition in partitions]


StartApi = Callable[..., Api]


@pytest.fixture(scope="module")
def start_api(postgres_server: EmbeddedPostgres, redis_server: EmbeddedRedis) -> Iterator[StartApi]:
    """Start an API with a database and a log of its own; keywords are settings."""
    with ExitStack() as running:

        def start(**changes: Any) -> Api:
            if "database_url" not in changes:
                url = fresh_database(postgres_server)
                running.callback(drop_database, postgres_server, url)
                changes |= urls_of(postgres_server, url)
            known: dict[str, Any] = {
                "redis_url": redis_server.url,
                "secret_key": SecretStr("k" * 32),
                "log_namespace": f"http-{secrets.token_hex(4)}",
                **changes,
            }
            settings = Settings(_env_file=None, **known)
            app = create_app(settings)
            url = running.enter_context(serving(app))
            servers = running.enter_context(redis_client.connect(settings, "verbatim-test"))
            engine = make_engine(settings.migration_database, application_name="test")
            running.callback(engine.dispose)
            log = Log(servers, settings.log_namespace)
            with suppress(RedisError):  # some APIs start without it
                bound(log)
            return Api(url, settings, app, log, engine)

        yield start


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> Api:
    """The module's API."""
    return start_api()


@pytest.fixture
def anybody(api: Api) -> Iterator[httpx.Client]:
    """Somebody who is not signed in."""
    with closing(api.client()) as client:
        yield client


@pytest.fixture
def ada(api: Api) -> Iterator[httpx.Client]:
    """Somebody who is signed in."""
    with closing(api.person()) as client:
        yield client


@pytest.fixture
def eve(api: Api) -> Iterator[httpx.Client]:
    """Somebody else who is signed in."""
    with closing(api.person()) as client:
        yield client
