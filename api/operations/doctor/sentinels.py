"""The doctor looks at the sentinels that name the log's Redis, where there are any."""

from collections.abc import Iterator
from typing import Any, cast

from redis.exceptions import RedisError

from api.core import redis_client, redis_urls
from api.core.master_map import SentinelMap
from api.operations.doctor.findings import Finding, ok, problem, warning


def examine(url: str) -> Iterator[Finding]:
    """Yield findings on each sentinel that a URL names, and on what they say together."""
    if not redis_urls.is_sentinels(url):
        return
    named = set()
    for sentinel in redis_urls.servers(url):
        said = SentinelMap(url)
        with redis_client.client_of(sentinel, "verbatim-doctor") as client:
            try:
                reply = cast("Any", client).execute_command(*said.question)
            except (RedisError, OSError) as error:
                yield warning(
                    "redis",
                    f"a sentinel of REDIS_URL does not answer ({type(error).__name__})",
                    "start it, or correct its address: a failover needs most of them; one that "
                    "wants a password of its own is not supported",
                )
                continue
        if said.learn(sentinel, reply):
            named.update(said.masters())
        else:
            yield warning(
                "redis",
                "a sentinel of REDIS_URL knows no master of that name",
                "correct the name after the sentinels in REDIS_URL, or have it monitor the master",
            )
    if len(named) > 1:
        yield problem(
            "redis",
            "the sentinels of REDIS_URL name different masters",
            "wait until a failover is over; else ask each for its SENTINEL MASTERS",
        )
    elif named:
        yield ok("redis", "the sentinels that answer name one master")
