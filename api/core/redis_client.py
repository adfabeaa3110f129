"""Connections to the log's Redis, and the check of its durability settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from api.core.errors import Unavailable, UnsafeRedisError, WrongDatabaseError
from api.core.settings import Durability, Settings

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 2.0

_PRICE: Final = "overrides this, at the price of lost messages"
_OVERRIDE: Final = {
    "always": f"REDIS_DURABILITY=everysec or unchecked {_PRICE}",
    "everysec": f"REDIS_DURABILITY=unchecked {_PRICE}",
}


def redis_options(client_name: str) -> dict[str, Any]:
    """Return the connection options for redis-py's clients, synchronous and asynchronous.

    `client_name` is what Redis shows for the connection.
    """
    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "client_name": client_name,
        "health_check_interval": 0,
    }


def connect(settings: Settings, client_name: str) -> Redis:
    """Open a synchronous client for `Log`.

    It never sends anything twice: redis-py's default sent a timed-out script ten times more.
    """
    client: Redis = Redis.from_url(
        settings.redis, retry=Retry(NoBackoff(), 0), **redis_options(client_name)
    )
    return client


@contextmanager
def unavailable_on_error() -> Iterator[None]:
    """Turn what a call of the log raises while Redis does not answer into Unavailable."""
    try:
        yield
    except WrongDatabaseError as error:
        raise Unavailable("the log belongs to another database") from error
    # uvloop raises a plain RuntimeError for a connection that is reset as soon as it is made.
    except (RedisError, OSError, RuntimeError) as error:
        raise Unavailable("the log does not answer") from error


def check(redis: Redis, durability: Durability) -> None:
    """Raise UnsafeRedisError if this Redis may lose writes that it has acknowledged.

    `everysec` also allows appendfsync everysec, which can lose the last seconds at a power loss;
    `unchecked` allows any configuration. Raises redis-py's RedisError if Redis does not answer.
    """
    if durability == "unchecked":
        return
    try:
        config = cast("dict[str, str]", redis.config_get("*"))
    except ResponseError as error:
        if str(error).startswith(("LOADING", "BUSY")):
            raise
        # What it shows is compared in any case; only `unchecked` asks for nothing.
        advice = _OVERRIDE["everysec"]
        raise UnsafeRedisError(f"this Redis does not show its CONFIG; {advice}") from error
    check_config(config, durability)


def check_config(config: Mapping[str, str], durability: Durability) -> None:
    """Raise UnsafeRedisError if a configuration, as CONFIG GET returns it, may lose writes."""
    wanted = {
        "appendonly": {"yes"},
        "appendfsync": {"always", "everysec"} if durability == "everysec" else {"always"},
        "maxmemory-policy": {"noeviction"},
    }
    if durability == "always":
        wanted["no-appendfsync-on-rewrite"] = {"no"}
    wrong = [
        f"{name} is {config.get(name)!r}, must be {' or '.join(sorted(values))}"
        for name, values in wanted.items()
        if config.get(name) not in values
    ]
    if wrong:
        raise UnsafeRedisError(
            f"this Redis does not keep what it accepts: {'; '.join(wrong)}; {_OVERRIDE[durability]}"
        )
