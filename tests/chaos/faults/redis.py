"""The log's server: it dies, is full, is frozen, loses its power."""

import asyncio
import signal
from contextlib import suppress
from typing import ClassVar, Final

from redis import Redis
from redis.exceptions import ResponseError

from tests.chaos.faults.base import Fault
from tests.chaos.site import Site

_FILLER_DATABASE: Final = 9
_FILLER: Final = 400, 100_000  # values, bytes each


class _RedisFault(Fault):
    target: ClassVar[str] = "redis"


class RedisKilled(_RedisFault):
    """kill -9. The page cache survives it."""

    name = "redis: kill -9"

    async def inject(self) -> None:
        self.site.redis.kill()


class RedisRestarted(_RedisFault):
    """Asked to stop, with so much to load that clients see LOADING."""

    name = "redis: restart with a large log"

    async def inject(self) -> None:
        await self.site.ask_redis(_put_filler, _FILLER_DATABASE)
        self.site.redis.signal_main(signal.SIGTERM)

    async def heal(self) -> None:
        await self.site.ask_redis(
            lambda client: client.flushdb(asynchronous=True), _FILLER_DATABASE
        )


class RedisRewrites(_RedisFault):
    """An AOF rewrite under load."""

    name = "redis: AOF rewrite"

    async def inject(self) -> None:
        def rewrite(client: Redis) -> None:
            with suppress(ResponseError):  # one is running
                client.bgrewriteaof()

        await self.site.ask_redis(rewrite)


class RedisFull(_RedisFault):
    """Its memory is used up."""

    name = "redis: maxmemory reached"

    async def inject(self) -> None:
        await self.site.ask_redis(
            lambda client: client.config_set("maxmemory", client.info("memory")["used_memory"])
        )

    async def heal(self) -> None:
        await self.site.ask_redis(lambda client: client.config_set("maxmemory", "1gb"))


class RedisDiskFull(_RedisFault):
    """No room for the AOF: it ends, and cannot start."""

    name = "redis: disk full"
    #: It ends, and is started, while there is no room.
    seconds = 6.0
    brief_seconds = 4.0

    @classmethod
    def missing(cls, site: Site) -> str:
        return "" if site.redis_disk.can_be_filled else "no right to mount a small disk"

    async def inject(self) -> None:
        await asyncio.to_thread(self.site.redis_disk.fill)

    async def heal(self) -> None:
        self.site.redis_disk.free()


class RedisReadOnly(_RedisFault):
    """It was made a replica of nobody."""

    name = "redis: read-only"

    async def inject(self) -> None:
        await self.site.ask_redis(lambda client: client.replicaof("127.0.0.1", 1))

    async def heal(self) -> None:
        await self.site.ask_redis(lambda client: client.replicaof("NO", "ONE"))


class RedisPaused(_RedisFault):
    """SIGSTOP: connections stay, answers do not come."""

    name = "redis: paused"
    seconds = 5.0
    brief_seconds = 3.0

    async def inject(self) -> None:
        self.site.redis.signal(signal.SIGSTOP)

    async def heal(self) -> None:
        self.site.redis.signal(signal.SIGCONT)


class RedisLosesPower(_RedisFault):
    """It dies, and so does the page cache: files end at their last fsync, or are torn."""

    name = "redis: power loss"

    async def inject(self) -> None:
        # Slower fsyncs make it likely that power fails between a write and its fsync.
        self.site.redis_shim.delay_fsync(0.02)
        await asyncio.sleep(0.2)
        self.site.redis_server.loses_power = True
        self.site.redis.kill()
        self.site.redis_shim.delay_fsync(0)


class RedisDiskSlow(_RedisFault):
    """Each fsync takes a quarter of a second."""

    name = "redis: slow disk"

    async def inject(self) -> None:
        self.site.redis_shim.delay_fsync(0.25)

    async def heal(self) -> None:
        self.site.redis_shim.delay_fsync(0)


def _put_filler(client: Redis) -> None:
    values, size = _FILLER
    with client.pipeline(transaction=False) as pipeline:
        for number in range(values):
            pipeline.set(f"filler:{number}", bytes(size))
        pipeline.execute()


FAULTS: Final = (
    RedisKilled,
    RedisRestarted,
    RedisRewrites,
    RedisFull,
    RedisDiskFull,
    RedisReadOnly,
    RedisPaused,
    RedisLosesPower,
    RedisDiskSlow,
)
