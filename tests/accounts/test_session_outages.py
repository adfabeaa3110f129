"""What becomes of sessions while PostgreSQL or Redis is away."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.accounts.test_sessions import bearer, can_write, refresh
from tests.support.api import PASSWORD, Api, StartApi
from tests.support.servers import fresh_database, urls_of
from tests.support.waiting import eventually

UNKNOWN = {"username": "unknown", "password": PASSWORD}


@pytest.fixture(scope="module")
def postgres(start_postgres: Callable[[], EmbeddedPostgres]) -> EmbeddedPostgres:
    return start_postgres()


@pytest.fixture(scope="module")
def redis(start_redis: Callable[[], EmbeddedRedis]) -> EmbeddedRedis:
    return start_redis()


@pytest.fixture(scope="module")
def own(start_api: StartApi, postgres: EmbeddedPostgres, redis: EmbeddedRedis) -> Api:
    urls = urls_of(postgres, fresh_database(postgres))
    return start_api(**urls, redis_url=redis.url)


@pytest.fixture
def client(own: Api) -> Iterator[httpx.Client]:
    with closing(own.client()) as client:
        yield client


@pytest.fixture
def pairs(own: Api, client: httpx.Client) -> list[dict[str, Any]]:
    """Two sessions of a new user."""
    own.engine.dispose()  # PostgreSQL may have been started anew since its connections were opened
    with closing(own.person()) as person:
        account = {"username": person.get("/auth/me").json()["username"], "password": PASSWORD}
    return [client.post("/auth/login", json=account).json() for _ in range(2)]


def test_chat_and_revocation_need_no_postgresql(
    client: httpx.Client, pairs: list[dict[str, Any]], postgres: EmbeddedPostgres
) -> None:
    client.post("/auth/logout", headers=bearer(pairs[0])).raise_for_status()
    postgres.stop()
    try:
        assert not can_write(client, pairs[0])
        assert can_write(client, pairs[1])
    finally:
        postgres.start()
        # One request of each pool, the reads' and the sign-ins', finds its connections gone.
        eventually(lambda: client.get("/auth/me", headers=bearer(pairs[1])).status_code == 200)
        eventually(lambda: client.post("/auth/login", json=UNKNOWN).status_code == 401)


def test_signing_out_without_redis_says_so_and_changes_nothing(
    client: httpx.Client, pairs: list[dict[str, Any]], redis: EmbeddedRedis
) -> None:
    redis.stop()
    try:
        answer = client.post("/auth/logout", headers=bearer(pairs[0]))
    finally:
        redis.start()

    assert answer.status_code == 503
    assert refresh(client, pairs[0]).status_code == 200
