"""What kind of server a Redis is: its HELLO says so to any user, and managed services answer it."""

import re
from contextlib import suppress
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from api.core.errors import Unavailable, UnsuitableRedisError

#: What SELECT is refused with.
_NO_SUCH_DATABASE: Final = re.compile("DB index|cluster mode")


def check(redis: Redis, *, of_cluster: bool = False) -> None:
    """Raise UnsuitableRedisError where a Redis is, or is not, one of a cluster against its URL.

    Also where it is a sentinel.

    Raises Unavailable for a replica, redis-py's RedisError if it does not answer.
    """
    hello = _hello(redis, "REDIS_URL")
    if _is_cluster(hello) and not of_cluster:
        raise UnsuitableRedisError(
            "REDIS_URL is a Redis Cluster: let it begin with redis+cluster:// (rediss+cluster:// "
            "for TLS), and set CELERY_BROKER_URL to a Redis that is none"
        )
    if _said(hello).get("mode") == "sentinel":
        raise UnsuitableRedisError(
            "REDIS_URL leads to a sentinel: let it begin with redis+sentinel:// "
            "(rediss+sentinel:// for TLS), and end in the name of the master"
        )
    if of_cluster and not _is_cluster(hello):
        raise UnsuitableRedisError(
            "REDIS_URL begins with redis+cluster://, but its Redis is not in cluster mode"
        )
    refuse_replica(hello)


def refuse_replica(hello: object) -> None:
    """Raise Unavailable if what answered HELLO is a replica: it would take no write."""
    if _said(hello).get("role", "master") != "master":
        raise Unavailable("this Redis is a replica: REDIS_URL must lead to its primary")


def check_broker(broker: Redis) -> None:
    """Raise UnsuitableRedisError if Celery's broker is a cluster: no worker would hear a doorbell.

    One that does not answer is not checked.
    """
    with suppress(RedisError):
        if _is_cluster(_hello(broker, "Celery's broker")):
            raise UnsuitableRedisError(
                "Celery's broker is a Redis Cluster, which Celery cannot use; "
                "set CELERY_BROKER_URL to a Redis that is none"
            )


def _hello(redis: Redis, name: str) -> object:
    try:
        return redis.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if _NO_SUCH_DATABASE.search(str(error)):
            raise UnsuitableRedisError(
                f"{name} names a database number that this Redis has not; a cluster has 0 only"
            ) from error
        raise


def _is_cluster(hello: object) -> bool:
    return _said(hello).get("mode") == "cluster"


def _said(hello: Any) -> dict[str, object]:
    """Return what HELLO answered: a mapping, or its names and values in turn (RESP2)."""
    pairs = hello.items() if isinstance(hello, dict) else zip(hello[::2], hello[1::2], strict=True)
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
