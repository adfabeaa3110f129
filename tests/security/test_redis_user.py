"""The manual's user on the embedded Valkey, which knows more commands than Debian's Redis."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from redis import Redis

from api.core import redis_client
from api.core.errors import UnsafeRedisError
from api.core.settings import Durability
from api.local.redis import EmbeddedRedis
from tests.security.tls import MANUAL, acl

pytestmark = pytest.mark.slow

USER = "few-rights"
#: What the manual says that newer servers need besides.
NEWER = re.findall(r"need `(\+client\|\w+)` besides", MANUAL.read_text())


@contextmanager
def user(server: EmbeddedRedis, *rules: str) -> Iterator[Redis]:
    """Make a user with these rules, and yield a client of it such as ours."""
    with Redis.from_url(server.url) as administrator:
        administrator.execute_command("ACL", "SETUSER", USER, "reset", *rules)
        administrator.acl_log_reset()
    address = server.url.rpartition("@")[2]
    options = redis_client.redis_options("test")
    with closing(Redis.from_url(f"redis://{USER}:PASSWORD@{address}", **options)) as client:
        yield client


def test_a_newer_redis_refuses_the_manuals_user_nothing(redis_server: EmbeddedRedis) -> None:
    _, _, *rules = acl().split(" ")

    with user(redis_server, *rules, *NEWER) as client:
        client.ping()
        redis_client.check(client, "always")

    with Redis.from_url(redis_server.url) as administrator:
        assert [entry["object"] for entry in administrator.acl_log()] == []


@pytest.mark.parametrize("durability", ["always", "everysec"])
def test_what_shows_no_configuration_is_told_the_one_setting_that_helps(
    redis_server: EmbeddedRedis, durability: Durability
) -> None:
    with (
        user(redis_server, "on", ">PASSWORD", "~*", "+@all", "-config") as client,
        pytest.raises(UnsafeRedisError) as refused,
    ):
        redis_client.check(client, durability)

    assert "REDIS_DURABILITY=unchecked" in str(refused.value)
    assert "everysec" not in str(refused.value)


def test_what_loses_writes_even_so_is_not_told_to_do_what_it_does() -> None:
    with pytest.raises(UnsafeRedisError) as refused:
        redis_client.check_config({"appendonly": "no"}, "everysec")

    assert "everysec or unchecked" not in str(refused.value)
