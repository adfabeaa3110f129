"""The log's cluster: masters and replicas die, freeze, are cut off; slots move."""

import asyncio
import signal
from contextlib import suppress
from typing import ClassVar, Final

from redis.exceptions import ResponseError

from api.core import log_keys
from api.core.ids import PARTITIONS
from tests.chaos.cluster import ChaosCluster, Master, Member
from tests.chaos.faults.base import Fault, Pest, Stage
from tests.chaos.site import NAMESPACE
from tests.support.redis_cluster import owns

_MOVES: Final = 3
_MOVE_SECONDS: Final = 5.0


class _ClusterFault(Fault):
    target: ClassVar[str] = "redis"

    @property
    def cluster(self) -> ChaosCluster:
        """The log's servers."""
        cluster = self.site.cluster
        assert cluster is not None, "these faults are for a log on a cluster"
        return cluster

    async def masters(self) -> list[Master]:
        """Return those that live."""
        return await self.site.persistently(self.cluster.masters)

    async def any_master(self) -> Member:
        """Return one of them."""
        return self.rng.choice(await self.masters()).member

    async def any_replica(self) -> Member | None:
        """Return one that lives, if any does."""
        found = [replica for master in await self.masters() for replica in master.replicas]
        return self.rng.choice(found) if found else None


class MasterKilled(_ClusterFault):
    """kill -9. It is back before the others miss it."""

    name = "cluster: kill -9 of a master"

    async def inject(self) -> None:
        (await self.any_master()).node.kill()


class MasterDown(Pest, _ClusterFault):
    """It dies, and dies again as soon as it is started: its replica takes over."""

    name = "cluster: a master is down"
    seconds = 10.0
    brief_seconds = 8.0
    pause_seconds = 0.1

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._hit: Member | None = None

    async def inject(self) -> None:
        self._hit = await self.any_master()
        await super().inject()

    def once(self) -> None:
        if self._hit is not None:
            self._hit.node.kill()


class MasterCutOff(_ClusterFault):
    """The other servers, and its replica, do not reach it, and clients do: two are masters."""

    name = "cluster: a master is cut off"
    seconds = 10.0
    brief_seconds = 8.0

    async def inject(self) -> None:
        self.cluster.cut_off(await self.any_master())

    async def heal(self) -> None:
        self.cluster.reconnect()


class _Paused(_ClusterFault):
    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._hit: Member | None = None

    async def heal(self) -> None:
        if self._hit is not None:
            self._hit.node.signal(signal.SIGCONT)

    def pause(self, member: Member | None) -> None:
        """SIGSTOP: connections stay, answers do not come."""
        self._hit = member
        if member is not None:
            member.node.signal(signal.SIGSTOP)


class MasterPaused(_Paused):
    """For so long that its replica takes over. Then it goes on, and does not know."""

    name = "cluster: a master is paused"
    seconds = 8.0
    brief_seconds = 6.0

    async def inject(self) -> None:
        self.pause(await self.any_master())


class ReplicaPaused(_Paused):
    """A replica lags by all that its master takes."""

    name = "cluster: a replica is paused"
    seconds = 5.0
    brief_seconds = 2.0

    async def inject(self) -> None:
        self.pause(await self.any_replica())


class ReplicaKilled(_ClusterFault):
    """kill -9 of a replica."""

    name = "cluster: kill -9 of a replica"

    async def inject(self) -> None:
        if (replica := await self.any_replica()) is not None:
            replica.node.kill()


class ReplicaPromoted(_ClusterFault):
    """An operator promotes a replica, in the master's agreement or without."""

    name = "cluster: a replica is promoted"
    _ways: ClassVar = ((), ("FORCE",), ("TAKEOVER",))

    async def inject(self) -> None:
        way = self.rng.choice(self._ways)
        if (replica := await self.any_replica()) is not None:
            await asyncio.to_thread(replica.server.ask, "CLUSTER", "FAILOVER", *way)


class SlotsMoved(_ClusterFault):
    """Partitions move to other masters, each at once."""

    name = "cluster: slots are moved"

    async def inject(self) -> None:
        for _ in range(_MOVES):
            slot = log_keys.slot(NAMESPACE, self.rng.randrange(PARTITIONS))
            masters = [master.member for master in await self.masters()]
            target = self.rng.choice(masters)
            with suppress(TimeoutError):
                async with asyncio.timeout(_MOVE_SECONDS):
                    while not await asyncio.to_thread(_moved, masters, target, slot):  # noqa: ASYNC110 - polled
                        await asyncio.sleep(0.05)


def _moved(masters: list[Member], target: Member, slot: int) -> bool:
    """Begin to move a slot unless it is there; return whether it is."""
    if owns(target.server, slot):
        return True
    order = ("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
    for member in masters:
        if owns(member.server, slot):
            with suppress(ResponseError):  # it is under way
                member.server.ask(*order)
    return False


FAULTS: Final = (
    MasterKilled,
    MasterDown,
    ReplicaPromoted,
    MasterCutOff,
    SlotsMoved,
    ReplicaPaused,
    MasterPaused,
    ReplicaKilled,
)
