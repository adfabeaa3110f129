"""The write path of one API process: log, group commit and doorbell, opened and closed together."""

import asyncio
import logging
from typing import Final

from redis.exceptions import RedisError
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from api.core import bell, redis_client
from api.core.accept_calls import Limits
from api.core.async_database import AsyncDatabase
from api.core.bind import open_log
from api.core.errors import (
    DatabaseWentBackError,
    Unavailable,
    UnsafeRedisError,
    UnsafeRoleError,
    WrongDatabaseError,
)
from api.core.failures import describe
from api.core.log import Log
from api.core.settings import Settings
from api.reads.read_after import Reads
from api.writes.accept import Accept
from api.writes.async_log import AsyncLog
from api.writes.async_servers import AsyncFollowedServers
from api.writes.caches import Caches
from api.writes.group_commit import GroupCommit
from api.writes.master_commits import Commits, MasterCommits

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0


class WritePath:
    """Opens the log at start, again after each reconnection, and lends out `accept`."""

    def __init__(self, settings: Settings, engine: Engine, database: AsyncDatabase) -> None:
        self._settings = settings
        self._engine = engine
        self._redis = redis_client.connect(settings, "verbatim-api")
        self._bell = bell.Bell(bell.make_celery(settings))
        self._opening: asyncio.Task[None] | None = None
        self._refused = False
        #: For what runs in a thread, inside a transaction of PostgreSQL.
        self.log = Log(self._redis, settings.log_namespace)
        #: For coroutines. Accepting has a connection of its own, that one task owns.
        self.async_log = AsyncLog.pool(settings, "verbatim-api")
        self._commits = self._make_commits()
        self._caches = Caches(self.async_log, lambda: self._commits.memory_ratio)
        reads = Reads(database, self.async_log.absent)
        self.accept = Accept(self._commits, database, reads, Limits.of(settings))
        if settings.database_identity:
            self._bind(settings.database_identity)

    def _make_commits(self) -> Commits:
        servers, ring = self.async_log.servers, self._bell.ring
        if isinstance(servers, AsyncFollowedServers):
            return MasterCommits(self._settings, servers, ring=ring, on_connected=self._open_soon)
        return GroupCommit(self._settings, ring=ring, on_connected=self._open_soon)

    @property
    def ready(self) -> bool:
        """The log answered last time, and was open."""
        return self._commits.ready and not self._refused

    @property
    def lacks_replicas(self) -> bool:
        """Fewer replicas than REDIS_REPLICAS had what was written last: nothing is taken."""
        return self._commits.lacks_replicas

    @property
    def replicas(self) -> int:
        """How many replicas had it; 0 where none are asked for."""
        return self._commits.acknowledged

    @property
    def memory_ratio(self) -> float:
        """Used memory as a part of Redis' maxmemory, 0 without a limit."""
        return self._commits.memory_ratio

    async def start(self) -> None:
        """Open what is there; Redis and PostgreSQL that are not are waited for in the background.

        Raises UnsafeRedisError, UnsafeRoleError or WrongDatabaseError: the process must not go on.
        """
        try:
            await self._check_and_open()
        except (Unavailable, RedisError) as error:
            logger.warning("the log could not be opened yet: %s", describe(error))
        self._bell.start()
        await self._commits.start()
        self._caches.start()

    async def stop(self) -> None:
        """Accept what waits, ring once more if need be, close everything."""
        await self._caches.stop()
        await self._commits.stop()
        if self._opening is not None:
            self._opening.cancel()
        await run_in_threadpool(self._bell.stop)
        await self.async_log.close()
        self._redis.close()

    async def _check_and_open(self) -> None:
        """Open the log; from then on each call says which database it is for."""

        def opened() -> None:
            redis_client.check_all(self._redis, self._settings.redis_durability)
            redis_client.check_broker(self._settings.broker)
            open_log(self.log, self._engine, self._settings.database_identity)

        await run_in_threadpool(opened)
        self._bind(self.log.database_id)

    def _bind(self, database_id: str) -> None:
        self.log.database_id = database_id
        self.async_log.database_id = database_id
        self._commits.database_id = database_id

    def _open_soon(self) -> None:
        """A new connection may lead to another Redis, or to one that lost its keys."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(), name="open-log")

    async def _open(self) -> None:
        while not self._refused:
            try:
                await self._check_and_open()
            except (Unavailable, RedisError):
                await asyncio.sleep(RETRY_SECONDS)
            except DatabaseWentBackError as error:
                # It may come back; the log takes writes meanwhile, but none is drained.
                logger.critical("nothing is drained: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except (WrongDatabaseError, UnsafeRedisError, UnsafeRoleError) as error:
                logger.critical("writes are refused: %s", error)
                self._commits.refuse()
                self._refused = True
            else:
                return
