"""A TCP proxy that misbehaves on request: it delays, cuts, swallows, and drops answers."""

import asyncio
import socket
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, cast

Direction = Literal["up", "down"]
#: before: the request is not passed on. after: it is, and what happens then happens at once.
#: answer: it is, and its answer is dropped and the connection cut.
Moment = Literal["before", "after", "answer"]

HOST = "127.0.0.1"
#: With the default of 100 a burst of connections would wait a second for the kernel's next try.
_BACKLOG = 4096


@dataclass(slots=True)
class Trap:
    """Springs once, when a request with these bytes comes by."""

    needle: bytes
    moment: Moment
    spring: Callable[[], None]


class Link:
    """One listening port and the server behind it."""

    def __init__(self, name: str, server_port: int) -> None:
        self.name = name
        self.server_port = server_port  #: may be changed; new connections go there
        self.port = 0
        self.delay_seconds = 0.0
        self.swallowed: Direction | None = None
        self.is_cut = False
        #: Addresses whose connections are reset; `refuse` sets them.
        self.refused: frozenset[str] = frozenset()
        #: What is said upwards, and what is to be said instead, of the same length.
        self.replaced: tuple[bytes, bytes] | None = None
        self.trap: Trap | None = None
        self.pairs: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listen, on any free port unless one is given."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), HOST, port, backlog=_BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        self.drop_all()

    def drop_all(self) -> None:
        """Reset all open connections."""
        for pair in list(self.pairs):
            pair.abort()

    def cut(self) -> None:
        """Reset all open connections, and every new one."""
        self.is_cut = True
        self.drop_all()

    def refuse(self, addresses: Collection[str]) -> None:
        """From now on, reset connections that come from these addresses, and only these."""
        self.refused = frozenset(addresses)
        for pair in [pair for pair in self.pairs if pair.peer in self.refused]:
            pair.abort()

    def heal(self) -> None:
        """Behave. Connections that have lost bytes cannot be healed, only reset."""
        had_swallowed, self.swallowed = self.swallowed, None
        self.delay_seconds, self.is_cut, self.trap, self.replaced = 0.0, False, None, None
        if had_swallowed:
            self.drop_all()


def reset(transport: asyncio.Transport) -> None:
    """End a connection as a crash would: with a reset, and without what was not yet sent."""
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    transport.abort()


class _Side(asyncio.Protocol):
    """What both sides of a connection have in common: late writing, and no more than is read."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._waiting: list[bytes] = []
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self._waiting:
            self.transport.write(data)
        self._waiting.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Write to this side, in order, as late as the link wants it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = max(self._due, now + self.link.delay_seconds)
        if due > now:
            self._due = due
            loop.call_at(due, self._write, data)
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self.transport is None:
            self._waiting.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)


class _Server(_Side):
    """The side of the server: what it says goes down."""

    def data_received(self, data: bytes) -> None:
        client = cast("_Client", self.other)
        if client.deaf:
            client.abort()
            client.sprung()
        elif self.link.swallowed != "down":
            client.write(data)


class _Client(_Side):
    """The side of the client: what it says goes up, past the trap."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.deaf = False
        #: The address from which it comes.
        self.peer = ""
        self._tail = b""
        self._sprung: Trap | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = transport.get_extra_info("peername")[0]
        if self.link.is_cut or self.peer in self.link.refused:
            self.abort()
            return
        self.link.pairs.add(self)
        self.other = _Server(self.link)
        self.other.other = self
        self._connecting = asyncio.create_task(self._connect(self.other))

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.pairs.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        server = cast("_Side", self.other)
        if self.link.replaced is not None:
            data = data.replace(*self.link.replaced)
        trap = self.link.trap
        if trap is not None and trap.needle in self._tail[1 - len(trap.needle) :] + data:
            self._spring(trap, server, data)
        elif self.link.swallowed != "up":
            server.write(data)
        self._tail = data[-64:]

    def abort(self) -> None:
        """Reset both sides."""
        for side in (self, self.other):
            if side is not None and side.transport is not None:
                reset(side.transport)

    def sprung(self) -> None:
        """Do what the trap is for."""
        trap, self._sprung = self._sprung, None
        if trap is not None:
            trap.spring()

    def _spring(self, trap: Trap, server: _Side, data: bytes) -> None:
        self.link.trap, self._sprung = None, trap
        if trap.moment == "before":
            self.abort()
            self.sprung()
            return
        server.write(data)
        if trap.moment == "after":
            self.sprung()
        else:
            self.deaf = True

    async def _connect(self, server: _Side) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: server, HOST, self.link.server_port)
        except OSError:
            self.abort()
