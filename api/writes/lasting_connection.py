"""The connection of a group commit: made anew when it is lost, with what it told of the log."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptReply
from api.core.errors import TooFewReplicas, Unavailable
from api.core.ids import ALL_PARTITIONS
from api.core.redis_client import ANSWER_SECONDS
from api.core.settings import Settings
from api.writes.accept_connection import AcceptConnection

logger = logging.getLogger(__name__)

#: Whatever it is, it must not end the task that all requests wait for.
FAILURES: Final = (Exception,)


@dataclass(frozen=True, slots=True)
class Master:
    """One master of several, or the one that sentinels name, and which partitions it has."""

    url: str
    partitions: Sequence[int]
    #: Called when it does not answer: another server may have its place.
    on_lost: Callable[[], None]


class LastingConnection:
    """Connects again after each loss, for ever.

    `on_connected` is called after each new connection and whenever the log is found closed; it must
    not block. Where masters may change it leads to one `master`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_connected: Callable[[], None],
        master: Master | None = None,
    ) -> None:
        self._settings = settings
        self._limits = Limits.of(settings)
        self._on_connected = on_connected
        self._master = master
        self._connection: AcceptConnection | None = None
        self._clock_offset_ms = 0.0
        #: Used memory as a part of Redis' maxmemory, 0 without a limit; as of the last look.
        self.memory_ratio = 0.0
        #: The database that the log must belong to; nothing is taken before it is known.
        self.database_id = ""
        #: The log answered last time it was asked, and was open.
        self.ready = False
        #: Fewer than REDIS_REPLICAS had the last call: nothing is sent until a look's has enough.
        self.lacks_replicas = False
        #: How many had it; 0 where none are asked for.
        self.acknowledged = 0

    async def get(self) -> AcceptConnection | None:
        """Return the connection, made anew if need be; None if the log cannot be reached."""
        if self._connection is None:
            try:
                url = self._master.url if self._master else None
                self._connection = await AcceptConnection.opened(
                    self._settings, "verbatim-accept", url
                )
                here_ms = asyncio.get_running_loop().time() * 1000
                self._clock_offset_ms = await self._connection.now_ms() - here_ms
            except FAILURES as error:
                logger.warning("the log cannot be reached: %s", cause_of(error))
                await self.drop()
                return None
            self._on_connected()
        return self._connection

    async def accept_in_time(
        self, connection: AcceptConnection, requests: Sequence[AcceptRequest]
    ) -> AcceptReply:
        """Make one accept call, and one more for what was late in Redis' eyes."""
        reply = await self._accept(connection, requests)
        if late := [i for i, result in enumerate(reply.results) if result.status == "late"]:
            # Redis' clock was set: nothing was written, and now its time is known.
            again = await self._accept(connection, [requests[i] for i in late])
            for i, result in zip(late, again.results, strict=True):
                reply.results[i] = result
            reply = replace(reply, ring=reply.ring or again.ring)
        return reply

    async def _accept(
        self, connection: AcceptConnection, requests: Sequence[AcceptRequest]
    ) -> AcceptReply:
        """Make one accept call, void once its answer is no longer waited for."""
        loop = asyncio.get_running_loop()
        deadline_ms = int(loop.time() * 1000 + self._clock_offset_ms + ANSWER_SECONDS * 1000)
        connection.database_id = self.database_id
        at = self._master.partitions if self._master else ALL_PARTITIONS
        try:
            reply = await connection.accept(self._limits, deadline_ms, requests, at)
        except TooFewReplicas:
            self._note_replicas(connection.acknowledged, lacking=True)
            raise
        self._note_replicas(connection.acknowledged, lacking=False)
        if reply.now_ms:  # not where all of it is elsewhere
            self._clock_offset_ms = reply.now_ms - loop.time() * 1000
        self.ready = reply.is_open
        if not reply.is_open:
            self._on_connected()
        if len(reply.results) != len(requests):
            raise Unavailable("the script answered another call")
        return reply

    async def look(self) -> None:
        """Look whether the log is open, and how full Redis is."""
        try:
            if connection := await self.get():
                # Only writes would show it.
                await connection.refuse_replica()
                self.memory_ratio = await connection.memory_ratio()
                await self._accept(connection, [])
        except TooFewReplicas:
            pass  # noted, and the connection is sound
        except FAILURES as error:
            logger.warning("the log does not answer: %s", cause_of(error))
            await self.drop()

    async def spread_bell(self, connection: AcceptConnection) -> None:
        """Keep the next accept calls, in other partitions, from ringing for a second drain."""
        try:
            await connection.spread_bell()
        except FAILURES as error:
            logger.warning("the log does not answer: %s", cause_of(error))
            await self.drop()

    async def drop(self) -> None:
        """Give the connection up: a late answer on it could reach the wrong request."""
        self.ready = False
        if self._master is not None:
            self._master.on_lost()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FAILURES):
                await connection.close()

    def _note_replicas(self, acknowledged: int, *, lacking: bool) -> None:
        self.acknowledged = acknowledged
        if lacking != self.lacks_replicas:
            logger.warning(
                "%d of %d replicas have what is written: %s",
                acknowledged,
                self._settings.redis_replicas,
                "writes are refused" if lacking else "writes are taken again",
            )
        self.lacks_replicas = lacking
        self.ready = self.ready and not lacking


def cause_of(error: Exception) -> str:
    """Return what went wrong. Of others' errors the name only: a text may quote what was sent."""
    cause = error.__cause__ or error
    return str(cause) if isinstance(cause, Unavailable) else type(cause).__name__
