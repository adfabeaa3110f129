"""The log on a cluster: three masters with a replica each, and a proxy before each of their ports.

Every server comes to the others from an address of its own, so that the proxies can cut it off from
them and leave its clients alone.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.exceptions import RedisError

from api.core import redis_client
from api.local.console import Console
from tests.chaos.node import Node
from tests.support.proxy import Link
from tests.support.redis_cluster import ClusterNode, RedisCluster, id_of

MASTERS: Final = 3
#: After so long the others take a silent master for dead.
NODE_TIMEOUT_MS: Final = 3_000
_START_SECONDS: Final = 60.0


class _Server(ClusterNode):
    """A server that may be paused, so that nobody must wait for it for long."""

    timeout_ms = NODE_TIMEOUT_MS

    def ask(self, *command: str | int) -> Any:
        """Send this server a command, and return its answer."""
        with redis_client.client_of(self.url, "chaos") as client:
            return client.execute_command(*command)


@dataclass(slots=True)
class Member:
    """One server, and the ways to it."""

    server: _Server
    node: Node
    #: What clients and replicas come by.
    door: Link
    #: What the other servers come by, to tell who lives.
    bus: Link
    #: Its name in the cluster.
    id: str = ""


@dataclass(frozen=True, slots=True)
class Master:
    """A member that has slots, and the replicas that follow it."""

    member: Member
    replicas: list[Member]


class ChaosCluster:
    """Six servers; which of them are masters changes."""

    def __init__(self, directory: Path, console: Console) -> None:
        self._members = [
            _member(directory / f"log{number}", number, console) for number in range(2 * MASTERS)
        ]
        servers = [member.server for member in self._members]
        self._cluster = RedisCluster(list(servers[:MASTERS]), list(servers[MASTERS:]))

    @property
    def url(self) -> str:
        """What REDIS_URL says."""
        return self._cluster.url

    @property
    def links(self) -> list[Link]:
        """Every way to a server."""
        return [link for member in self._members for link in (member.door, member.bus)]

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the servers, make them a cluster; the stack will stop them."""
        for member in self._members:
            for link in (member.door, member.bus):
                await link.start()
                stack.push_async_callback(link.stop)
            member.server.seen_port, member.server.seen_bus_port = member.door.port, member.bus.port
            member.node.supervised.start()
            stack.push_async_callback(member.node.stop)
        async with asyncio.timeout(_START_SECONDS):
            for member in self._members:
                await member.node.supervised.ready()
        await asyncio.to_thread(self._cluster.form)
        for member in self._members:
            member.id = await asyncio.to_thread(id_of, member.server)

    def masters(self) -> list[Master]:
        """Return the masters that live, as most servers see it. Raises RedisError."""
        views = list(self._views())
        # One that is cut off, or was paused, sees what was.
        return max(views, key=lambda view: sum(other == view for other in views))

    def _views(self) -> Iterator[list[Master]]:
        failure = RedisError("no server of the cluster answers")
        answered = 0
        for member in self._members:
            try:
                told: bytes = member.server.ask("CLUSTER", "NODES")
            except RedisError as error:
                failure = error
            else:
                answered += 1
                yield self._read(told.decode().splitlines())
        if not answered:
            raise failure

    def _read(self, lines: Iterable[str]) -> list[Master]:
        """Read what a server tells of the others: id, address, flags, its master's id, …, slots."""
        members = {member.id: member for member in self._members}
        told = [line.split() for line in lines]
        alive = [words for words in told if not {"fail", "handshake"} & set(words[2].split(","))]
        return [
            Master(
                members[words[0]],
                [members[other[0]] for other in alive if other[3] == words[0]],
            )
            for words in sorted(alive)
            if len(words) > 8 and words[3] == "-"
        ]

    def cut_off(self, member: Member) -> None:
        """Cut a server off from the others, both ways; clients still reach it."""
        others = [other for other in self._members if other is not member]
        for link in (member.door, member.bus):
            link.refuse({other.server.source for other in others})
        for other in others:
            for link in (other.door, other.bus):
                link.refuse({member.server.source})

    def reconnect(self) -> None:
        """Let all servers reach each other."""
        for link in self.links:
            link.refuse(())


def _member(directory: Path, number: int, console: Console) -> Member:
    directory.mkdir(mode=0o700)
    server = _Server(directory)
    server.name = f"log{number}"
    server.source = f"127.0.1.{number + 1}"
    node = Node(server, console, directory.with_suffix(".log"))
    return Member(
        server,
        node,
        Link("a server of the log", server.port),
        Link("a server of the log, from the others", server.bus_port),
    )
