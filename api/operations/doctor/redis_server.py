"""The doctor looks at the log's Redis or Valkey."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as NoAnswer

from api.core import redis_client, redis_urls
from api.core.errors import Unavailable, UnsafeRedisError
from api.core.log_servers import LogServers
from api.core.settings import Settings
from api.operations.doctor.findings import Finding, clock, ok, problem, warning

OLDEST_VERSION: Final = (6, 2)
#: Shares of maxmemory above which caches go, and above which new conversations are refused.
MEMORY_HIGH: Final = 0.55
MEMORY_FULL: Final = 0.70


def examine_all(servers: LogServers, settings: Settings) -> Iterator[Finding]:
    """Yield findings on each server that holds a part of the log."""
    try:
        masters = servers.masters()
    except (RedisError, OSError) as error:
        yield _silent(error)
        return
    for redis in masters:
        yield from examine(redis, settings)


def examine(redis: Redis, settings: Settings) -> Iterator[Finding]:
    """Yield findings; ends after the first one where the server does not answer."""
    try:
        redis.ping()
    except (RedisError, OSError) as error:
        yield _silent(error)
        return
    try:
        info = cast("Mapping[str, Any]", redis.info())
    except ResponseError:
        # Else what is said of durability says so.
        if settings.redis_durability in {"managed", "unchecked"}:
            yield warning(
                "redis",
                "this Redis does not show its INFO, so its version, memory and disk are unknown",
                "let the user of REDIS_URL run INFO, where your provider can",
            )
    else:
        yield _version(info)
        yield _memory(info)
        yield _disk(info)
    yield _durability(redis, settings)
    before = time.time()
    seconds, micros = redis.time()
    after = time.time()
    skew = seconds + micros / 1e6 - (before + after) / 2
    yield clock("redis", "Redis", skew, (after - before) / 2)


def _silent(error: Exception) -> Finding:
    if isinstance(error, (AuthenticationError, NoPermissionError)):
        return problem(
            "redis",
            "Redis refuses the name or password of REDIS_URL, or its user may do too little",
            "correct them in REDIS_URL, or the user's rights (ACL)",
        )
    if isinstance(error, BusyLoadingError):
        return problem("redis", "Redis is reading its data from disk", "wait until it has done so")
    how = "did not answer in time" if isinstance(error, NoAnswer) else "cannot be reached"
    return problem(
        "redis",
        f"Redis {how} ({type(error).__name__}): nothing is accepted",
        "start it, or correct host, port and scheme of REDIS_URL (rediss:// is TLS)",
    )


def _version(info: Mapping[str, Any]) -> Finding:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST_VERSION:
        return problem("redis", f"{name} {version} is too old", "use Redis 6.2 or newer, or Valkey")
    return ok("redis", f"{name} {version}")


def _memory(info: Mapping[str, Any]) -> Finding:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        return warning(
            "redis",
            "Redis has no limit of memory (maxmemory): on a full machine the system ends it",
            "set maxmemory to what it may take, so that writes are refused in time",
        )
    share = used / limit
    says = f"Redis uses {share:.0%} of its maxmemory"
    do = "docs/operations.md, Redis is full"
    if share >= MEMORY_FULL:
        return problem("redis", f"{says}: new conversations are refused", do)
    return warning("redis", f"{says}: caches go", do) if share >= MEMORY_HIGH else ok("redis", says)


def _disk(info: Mapping[str, Any]) -> Finding:
    failed = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status")
        if info.get(name, "ok") != "ok"
    ]
    if failed:
        return problem(
            "redis",
            f"Redis could not write to its disk ({', '.join(failed)})",
            "make room on its disk, and read its log; never delete files of appendonlydir",
        )
    return ok("redis", "Redis could write to its disk when it last did")


def _durability(redis: Redis, settings: Settings) -> Finding:
    wanted = settings.redis_durability
    try:
        redis_client.check(
            redis, wanted, of_cluster=redis_urls.is_cluster(settings.redis_url or "")
        )
    except Unavailable:
        return problem(
            "redis",
            "REDIS_URL leads to a replica, which takes no writes",
            "let it lead to the primary",
        )
    except UnsafeRedisError as error:
        says, _, do = str(error).rpartition("; ")
        return problem("redis", says, f"change that on Redis, also in its file; {do}")
    if wanted == "always":
        return ok("redis", "what Redis accepts is on its disk before it answers")
    return ok("redis", f"Redis keeps what it accepts as far as REDIS_DURABILITY={wanted} asks for")
