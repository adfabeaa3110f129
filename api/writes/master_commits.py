"""Group commits where masters may change: one for each, so that no call is for two of them.

Sentinels name one master, a cluster has some. A partition may move to another one at any time, by a
failover or because somebody moves slots.
What its master did not do is sent to the next one; while none has the partition alone, it waits.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from api.core import ids, log_keys
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptResult
from api.core.errors import Unavailable
from api.core.failures import describe
from api.core.master_map import LOOK_SECONDS
from api.core.redis_client import unavailable_on_error
from api.core.settings import Settings
from api.writes.async_servers import AsyncFollowedServers
from api.writes.group_commit import QUEUE_TIMEOUT_SECONDS, GroupCommit
from api.writes.lasting_connection import Master

logger = logging.getLogger(__name__)

#: How often is looked who the masters are, once that is in doubt, and a request is tried again.
PAUSE_SECONDS: Final = 0.05


class Commits(Protocol):
    """What takes requests for the log: one group commit, or those of masters that may change."""

    database_id: str

    @property
    def memory_ratio(self) -> float:
        """Used memory as a part of maxmemory, 0 without a limit."""
        ...

    @property
    def ready(self) -> bool:
        """The log answered last time it was asked, and was open."""
        ...

    @property
    def lacks_replicas(self) -> bool:
        """Fewer than REDIS_REPLICAS had the last call: nothing is sent until enough have."""
        ...

    @property
    def acknowledged(self) -> int:
        """How many had it; 0 where none are asked for."""
        ...

    @property
    def is_overloaded(self) -> bool:
        """More would only make everybody wait: a write is refused before its body is read."""
        ...

    async def start(self) -> None:
        """Begin to send."""
        ...

    async def stop(self) -> None:
        """Send what waits, then close the connections."""
        ...

    def refuse(self) -> None:
        """Take nothing more: the log is not one to write to."""
        ...

    async def submit(self, request: AcceptRequest) -> AcceptResult:
        """Return what the log says of a request. Raises Unavailable, saying what is known."""
        ...


class MasterCommits:
    """The group commits of masters that may change."""

    def __init__(
        self,
        settings: Settings,
        servers: AsyncFollowedServers,
        *,
        ring: Callable[[], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._ring = ring
        self._on_connected = on_connected
        self._commits: dict[Master, GroupCommit] = {}
        self._by_partition: dict[int, GroupCommit] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._in_doubt = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = False
        self._refused = False
        self._database_id = ""

    @property
    def database_id(self) -> str:
        """The database that the log must belong to; nothing is taken before it is known."""
        return self._database_id

    @database_id.setter
    def database_id(self, database_id: str) -> None:
        self._database_id = database_id
        for commit in self._commits.values():
            commit.database_id = database_id

    @property
    def memory_ratio(self) -> float:
        """Used memory as a part of maxmemory: that of the fullest master."""
        return max((commit.memory_ratio for commit in self._commits.values()), default=0.0)

    @property
    def ready(self) -> bool:
        """Every partition has a master that answered last time, and was open."""
        commits = self._commits.values()
        return len(self._by_partition) == ids.PARTITIONS and all(one.ready for one in commits)

    @property
    def lacks_replicas(self) -> bool:
        """Some master has too few."""
        return any(commit.lacks_replicas for commit in self._commits.values())

    @property
    def acknowledged(self) -> int:
        """How many replicas had the last calls: those of the master with the fewest."""
        return min((commit.acknowledged for commit in self._commits.values()), default=0)

    @property
    def is_overloaded(self) -> bool:
        """All masters have more than they can take; one alone refuses by itself."""
        commits = self._commits.values()
        return bool(commits) and all(commit.is_overloaded for commit in commits)

    async def start(self) -> None:
        """Connect to those masters that are there, and follow them from now on."""
        await self._look()
        self._watching = asyncio.create_task(self._watch(), name="masters")

    async def stop(self) -> None:
        """Send what waits, then close the connections."""
        # Nothing is cancelled: redis-py 8.1 swallows that, and goes on.
        self._stopping = True
        self._in_doubt.set()
        if self._watching is not None:
            await self._watching
        await asyncio.gather(*(commit.stop() for commit in self._commits.values()), *self._ended)

    def refuse(self) -> None:
        """Take nothing more: the log is not one to write to."""
        self._refused = True
        for commit in self._commits.values():
            commit.refuse()

    async def submit(self, request: AcceptRequest) -> AcceptResult:
        """Return what the log says of a request. Raises Unavailable, saying what is known."""
        clock = asyncio.get_running_loop().time
        until = clock() + QUEUE_TIMEOUT_SECONDS
        while True:
            if commit := self._by_partition.get(request.partition):
                result = await commit.submit(request)
                if result.status != "elsewhere":
                    return result
                self._doubt()
            if clock() > until:
                raise Unavailable("a part of the log is on no server; the request was not sent")
            await asyncio.sleep(PAUSE_SECONDS)

    def _doubt(self) -> None:
        self._servers.forget()
        self._in_doubt.set()

    async def _watch(self) -> None:
        while not self._stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._in_doubt.wait()
                    await asyncio.sleep(PAUSE_SECONDS)
            self._in_doubt.clear()
            if not self._stopping:
                await self._look()

    async def _look(self) -> None:
        """Learn who the masters are; begin with those that are new, end those that are none."""
        try:
            found = await self._found()
        except Unavailable as error:
            logger.warning(
                "the masters of the log are not known: %s", describe(error.__cause__ or error)
            )
            self._in_doubt.set()
            return
        gone = [master for master in self._commits if master not in found]
        ended = [self._commits.pop(master) for master in gone]
        fresh = {master: self._commit_of(master) for master in found - self._commits.keys()}
        self._commits |= fresh
        self._by_partition = {
            partition: commit
            for master, commit in self._commits.items()
            for partition in master.partitions
        }
        for commit in ended:
            task = asyncio.create_task(commit.stop())
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
        await asyncio.gather(*(commit.start() for commit in fresh.values()))

    async def _found(self) -> set[Master]:
        partitions: dict[str, list[int]] = {}
        for partition in range(ids.PARTITIONS):
            slot = log_keys.slot(self._settings.log_namespace, partition)
            with unavailable_on_error():
                partitions.setdefault(await self._servers.url_of(slot), []).append(partition)
        return {Master(url, tuple(owned), self._doubt) for url, owned in partitions.items()}

    def _commit_of(self, master: Master) -> GroupCommit:
        commit = GroupCommit(
            self._settings, ring=self._ring, on_connected=self._on_connected, master=master
        )
        commit.database_id = self._database_id
        if self._refused:
            commit.refuse()
        return commit
