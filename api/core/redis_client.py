"""Connections to the log's Redis, and the check of its durability settings."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Final, cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.retry import Retry

from api.core import broker_urls, redis_kind, redis_urls
from api.core.errors import ReadOnlyLog, Unavailable, UnsafeRedisError, WrongDatabaseError
from api.core.log_servers import FollowedServers, LogServers
from api.core.settings import Durability, Settings

logger = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 2.0
#: How long replicas may take to say that they have a call. The call's whole answer may take
#: ANSWER_SECONDS; one that is healthy says so within its fsync and the way there and back.
REPLICAS_MS: Final = 1_000

#: For services whose answer says that they keep it (docs/managed.md).
_MANAGED: Final = "where a service keeps what it answers, set REDIS_DURABILITY=managed"
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


def client_of(url: str, client_name: str) -> Redis:
    """Open a synchronous client of one server. Nothing is connected before its first use.

    It never sends anything twice: redis-py's default sent a timed-out script ten times more.
    """
    client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **redis_options(client_name))
    return client


def connect(settings: Settings, client_name: str) -> LogServers:
    """Open synchronous clients of what holds the log, as in `client_of`."""
    if redis_urls.is_server(settings.redis):
        return LogServers(client_of(settings.redis, client_name))
    return FollowedServers(settings.redis, partial(client_of, client_name=client_name))


def check_broker(url: str) -> None:
    """Raise UnsuitableRedisError if Celery's broker is a cluster; see `redis_kind.check_broker`."""
    if not broker_urls.is_redis(url):
        return
    with client_of(url, "verbatim-check") as broker:
        redis_kind.check_broker(broker)


@contextmanager
def unavailable_on_error() -> Iterator[None]:
    """Turn what a call of the log raises while Redis does not answer into Unavailable."""
    try:
        yield
    except WrongDatabaseError as error:
        raise Unavailable("the log belongs to another database") from error
    except ReadOnlyError as error:
        raise ReadOnlyLog("the log's Redis takes no writes: it is a replica") from error
    # uvloop raises a plain RuntimeError for a connection that is reset as soon as it is made.
    except (RedisError, OSError, RuntimeError) as error:
        raise Unavailable("the log does not answer") from error


def check_all(servers: LogServers, durability: Durability) -> None:
    """Raise what `check` raises for any server that holds a part of the log."""
    for redis in servers.masters():
        check(redis, durability, of_cluster=servers.is_cluster)


def check(redis: Redis, durability: Durability, *, of_cluster: bool = False) -> None:
    """Raise UnsafeRedisError if this Redis may lose writes that it has acknowledged.

    `everysec` also allows appendfsync everysec, which can lose the last seconds at a power loss;
    `managed` asks for no CONFIG, and looks at what INFO shows; `unchecked` allows any. Raises
    UnsuitableRedisError for a cluster, Unavailable for a replica, redis-py's RedisError if it does
    not answer.
    """
    redis_kind.check(redis, of_cluster=of_cluster)
    if durability == "unchecked":
        return
    info = _info(redis, durability)
    if durability == "managed":
        check_info(info)
    else:
        check_config(_config(redis), durability)


def _info(redis: Redis, durability: Durability) -> Mapping[str, Any]:
    """Return what INFO shows; nothing where a managed Redis refuses it."""
    try:
        return redis.info()
    except ResponseError as error:
        _raise_if_busy(error)
        refused = "this Redis does not show its INFO; allow its user +info"
        if durability != "managed":
            raise UnsafeRedisError(f"{refused}, or {_MANAGED}") from error
    _say_once(
        f"{refused}: until then nobody sees how full it is, and whether it evicts: writes are "
        "refused only by itself, once it is full"
    )
    return {}


@cache
def _say_once(warning: str) -> None:
    """Log a warning, but not at each reconnection again."""
    logger.warning(warning)


def _config(redis: Redis) -> Mapping[str, str]:
    try:
        return cast("dict[str, str]", redis.config_get("*"))
    except ResponseError as error:
        _raise_if_busy(error)
        raise UnsafeRedisError(
            f"this Redis does not show its CONFIG; allow its user +config|get, or {_MANAGED}"
        ) from error


def _raise_if_busy(error: ResponseError) -> None:
    if str(error).startswith(("LOADING", "BUSY")):
        raise error


def check_info(info: Mapping[str, Any]) -> None:
    """Raise UnsafeRedisError if a managed Redis, by its INFO, evicts what it has acknowledged.

    Any other shows that in its configuration.
    """
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        raise UnsafeRedisError(
            "this Redis does not keep what it accepts: its maxmemory-policy is "
            f"{info['maxmemory_policy']!r}, must be noeviction; that is a parameter of the service"
        )
    if not info.get("aof_enabled", 1):
        # Some services keep a log of their own instead, and some nothing.
        _say_once(
            "this Redis writes no AOF: what it keeps when it stops is what its service promises"
        )


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
