"""The manual's user on the embedded Valkey, which knows more commands than Debian's Redis."""

import logging
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from redis import Redis

from api.core import redis_client
from api.core.errors import UnsafeRedisError
from api.core.settings import Durability
from api.local.redis import EmbeddedRedis
from tests.support import redis_users
from tests.support.api import StartApi, start_api
from tests.support.draining import draining

__all__ = ["start_api"]

pytestmark = pytest.mark.slow

USER = "few-rights"
ALL = ["on", f">{redis_users.PASSWORD}", "~*", "+@all"]


@contextmanager
def user(server: EmbeddedRedis, *rules: str) -> Iterator[Redis]:
    """Make a user with these rules, and yield a client of it such as ours."""
    with Redis.from_url(server.url) as administrator:
        redis_users.make_user(administrator, USER, list(rules))
        administrator.acl_log_reset()
    options = redis_client.redis_options("test")
    with closing(Redis.from_url(redis_users.url_of(server.url, USER), **options)) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_was_said() -> None:
    """Each warning comes once in a process."""
    redis_client._say_once.cache_clear()


def refused_by(server: EmbeddedRedis) -> list[str]:
    with Redis.from_url(server.url) as administrator:
        return [entry["object"] for entry in administrator.acl_log()]


def test_a_newer_redis_refuses_the_manuals_user_nothing(redis_server: EmbeddedRedis) -> None:
    with user(redis_server, *redis_users.rules()) as client:
        client.ping()
        redis_client.check(client, "always")

    assert refused_by(redis_server) == []


def test_a_managed_redis_may_refuse_its_configuration_and_info(
    redis_server: EmbeddedRedis, start_api: StartApi, caplog: pytest.LogCaptureFixture
) -> None:
    namespace = f"verbatim-{secrets.token_hex(4)}"
    with user(redis_server, *redis_users.managed_rules(namespace)) as client:
        with caplog.at_level(logging.WARNING):
            redis_client.check(client, "managed")
        api = start_api(
            redis_url=redis_users.url_of(redis_server.url, USER),
            log_namespace=namespace,
            redis_durability="managed",
        )
        with closing(api.person()) as person, draining(api.settings):
            opened = person.post("/api/conversations/", json={}).json()["id"]
            path = f"/api/conversations/{opened}/messages"
            added = person.post(path, json={"role": "user", "content": "kept"}).json()
            read = person.get(path, params={"read_after": added["id"]}).json()["messages"]

    assert [message["content"] for message in read] == ["kept"]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "this Redis does not show its INFO; allow its user +info"
    ]
    assert set(refused_by(redis_server)) == {"info"}


@pytest.mark.parametrize("durability", ["always", "everysec"])
@pytest.mark.parametrize(
    ("refused", "allow"), [("-config", "+config|get"), ("-info", "+info")], ids=["CONFIG", "INFO"]
)
def test_what_shows_nothing_is_told_what_helps(
    redis_server: EmbeddedRedis, durability: Durability, refused: str, allow: str
) -> None:
    with (
        user(redis_server, *ALL, refused) as client,
        pytest.raises(UnsafeRedisError) as error,
    ):
        redis_client.check(client, durability)

    assert allow in str(error.value)
    assert "REDIS_DURABILITY=managed" in str(error.value)
    assert "everysec" not in str(error.value)


def test_what_loses_writes_even_so_is_not_told_to_do_what_it_does() -> None:
    with pytest.raises(UnsafeRedisError) as refused:
        redis_client.check_config({"appendonly": "no"}, "everysec")

    assert "everysec or unchecked" not in str(refused.value)


def test_a_managed_redis_that_evicts_is_refused() -> None:
    redis_client.check_info({"maxmemory_policy": "noeviction"})

    with pytest.raises(UnsafeRedisError, match="maxmemory-policy is 'volatile-lru'"):
        redis_client.check_info({"maxmemory_policy": "volatile-lru"})


def test_a_managed_redis_without_an_aof_is_taken_and_said_to_be_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    redis_client.check_info({"aof_enabled": 1})
    assert not caplog.records

    redis_client.check_info({"aof_enabled": 0})

    assert "writes no AOF" in caplog.text
