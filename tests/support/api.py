"""A running API per test module, and people who are signed in to it."""

import itertools
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis import Redis

from api.core.log import Log
from api.core.settings import Settings
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from api.main import create_app
from tests.support.servers import drop_database, fresh_database, urls_of
from tests.support.serving import serving

PASSWORD = "correct horse battery staple"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Api:
    """A running API and what it was started with."""

    url: str
    settings: Settings
    app: FastAPI
    log: Log

    def client(self) -> httpx.Client:
        """Somebody who is not signed in."""
        return httpx.Client(base_url=self.url, timeout=60)

    def person(self) -> httpx.Client:
        """Somebody new who is signed in."""
        client = self.client()
        name = f"person-{next(_numbers)}"
        account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        client.post("/auth/register", json=account).raise_for_status()
        answer = client.post("/auth/login", json={"username": name, "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client


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
            redis = running.enter_context(Redis.from_url(settings.redis))
            return Api(url, settings, app, Log(redis, settings.log_namespace))

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
