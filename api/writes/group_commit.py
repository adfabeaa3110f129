"""Group commit: one task owns one connection and sends all that waits as one accept call.

Under load the round trip and the fsync are shared. Requests wait on a future and only the owner
touches the socket, so a request that is cancelled cannot leave half a reply behind for the next.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from api.core import log, metrics, tracing
from api.core.entries import AcceptReply, AcceptRequest, AcceptResult
from api.core.errors import ReadOnlyLog, TooFewReplicas, Unavailable
from api.core.redis_client import ANSWER_SECONDS
from api.core.settings import Settings
from api.writes.admission import Admission
from api.writes.async_log import AsyncLog

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

logger = logging.getLogger(__name__)

#: One call takes at most this many entries, and this much text unless a single one has more.
GROUP_MOST_ENTRIES: Final = 128
GROUP_MOST_BYTES: Final = 1024 * 1024
#: What may wait to be sent; more is refused at once.
QUEUE_MAX_ENTRIES: Final = 2_000
QUEUE_MAX_BYTES: Final = 16 * 1024 * 1024
#: A request that waited longer than this is refused unsent.
QUEUE_TIMEOUT_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 1.0
#: Parts of Redis' maxmemory; caches go before (`caches.py`). Celery's consumers cannot even
#: subscribe once it is full.
MEMORY_NO_OPENS: Final = 0.70
MEMORY_NO_WRITES: Final = 0.80

READ_ONLY: Final = "the log takes no writes: it is a replica; the request was not sent"
TOO_FEW_REPLICAS: Final = "too few replicas of the log answer; the request was not sent"
UNKNOWN_OUTCOME: Final = (
    "the outcome is unknown; repeat the request with the same Idempotency-Key to make it one"
)
#: Whatever it is, it must not end the task that all requests wait for.
_FAILURES: Final = (Exception,)


@dataclass(slots=True)
class _Waiting:
    request: AcceptRequest
    since: float
    result: asyncio.Future[AcceptResult] = field(default_factory=asyncio.Future)
    #: Where its call to Redis belongs among the spans; None where it is not traced.
    context: "Context | None" = None


@dataclass(frozen=True, slots=True)
class Master:
    """One master of several, or the one that sentinels name, and which partitions it has."""

    url: str
    partitions: Sequence[int]
    #: Called when it does not answer: another server may have its place.
    on_lost: Callable[[], None]


class GroupCommit:
    """Sends requests to the log in groups, in the order in which they came.

    `ring` is called when a doorbell is due, `on_connected` after each new connection and whenever
    the log is found closed; neither may block. Where masters may change there is one for each
    `master`. A request for what that master does not have comes back as `elsewhere`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ring: Callable[[], None],
        on_connected: Callable[[], None],
        master: Master | None = None,
    ) -> None:
        self._settings = settings
        self._master = master
        self._limits = log.Limits.of(settings)
        self._spans = tracing.spans_of(settings, "verbatim-api")
        self._ring = ring
        self._on_connected = on_connected
        self._queue: deque[_Waiting] = deque()
        self._queue_bytes = 0
        self._in_flight = 0
        self._admission = Admission(QUEUE_MAX_ENTRIES)
        self._arrived = asyncio.Event()
        self._stopping = False
        self._refusing = ""
        self._log: AsyncLog | None = None
        self._clock_offset_ms = 0.0
        self._is_heartbeat_due = False
        self._next_heartbeat: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        #: Used memory as a part of Redis' maxmemory, 0 without a limit; as of the last heartbeat.
        self.memory_ratio = 0.0
        #: The database that the log must belong to; nothing is taken before it is known.
        self.database_id = ""
        #: The log answered last time it was asked, and was open.
        self.ready = False
        #: Fewer than REDIS_REPLICAS had the last call: nothing is sent until the heartbeat's has
        #: enough.
        self.lacks_replicas = False
        #: How many had it; 0 where none are asked for.
        self.acknowledged = 0

    async def start(self) -> None:
        """Connect if Redis is there (it is tried again for ever) and begin to send."""
        await self._heartbeat()
        self._admission.start()
        self._task = asyncio.create_task(self._run(), name="group-commit")

    async def stop(self) -> None:
        """Send what waits, then close the connection."""
        self._stopping, self._refusing = True, "the server is stopping"
        self._admission.stop()
        if self._next_heartbeat is not None:
            self._next_heartbeat.cancel()
        self._arrived.set()
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, timeout=2 * ANSWER_SECONDS)
        self._fail(self._take(len(self._queue)), self._refusing)
        await self._drop()

    def refuse(self) -> None:
        """Take nothing more: the log is not one to write to."""
        self._refusing = "the log is not this server's"

    @property
    def is_overloaded(self) -> bool:
        """More would only make everybody wait: a write is refused before its body is read."""
        return self._admission.refuses(len(self._queue) + self._in_flight)

    async def submit(self, request: AcceptRequest) -> AcceptResult:
        """Return what the log says of a request. Raises Unavailable, saying what is known."""
        self._admit(request)
        waiting = _Waiting(request, asyncio.get_running_loop().time())
        if self._spans is not None:
            waiting.context = self._spans.current()
        self._queue.append(waiting)
        self._queue_bytes += len(request.data)
        self._arrived.set()
        return await waiting.result

    def _admit(self, request: AcceptRequest) -> None:
        most = MEMORY_NO_OPENS if request.op == "open" else MEMORY_NO_WRITES
        if self._refusing:
            raise Unavailable(self._refusing)
        if not self.database_id:
            metrics.refused_total.labels("closed").inc()
            raise Unavailable("the log is not open yet")
        if self.lacks_replicas:
            metrics.refused_total.labels("replicas").inc()
            raise Unavailable(TOO_FEW_REPLICAS)
        if self.memory_ratio > most:
            metrics.refused_total.labels("memory").inc()
            raise Unavailable("the log's memory is nearly full", retry_after_seconds=5)
        if (
            len(self._queue) >= QUEUE_MAX_ENTRIES
            or self._queue_bytes + len(request.data) > QUEUE_MAX_BYTES
        ):
            metrics.refused_total.labels("waiting_room").inc()
            raise Unavailable("too many requests wait for the log")

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while not (self._stopping and not self._queue):
            if not self._queue:
                await self._arrived.wait()
            self._arrived.clear()
            if group := self._next_group(clock()):
                self._in_flight = len(group)
                await self._commit(group)
                self._in_flight = 0
            if self._is_heartbeat_due:
                await self._heartbeat()

    def _take(self, most: int) -> list[_Waiting]:
        """Take the oldest requests out of the queue, up to a group's bytes."""
        taken: list[_Waiting] = []
        held = 0
        while self._queue and len(taken) < most:
            held += len(self._queue[0].request.data)
            if taken and held > GROUP_MOST_BYTES:
                break
            taken.append(self._queue.popleft())
            self._queue_bytes -= len(taken[-1].request.data)
        return taken

    def _next_group(self, now: float) -> list[_Waiting]:
        """Take one group, without those that were cancelled and those that waited too long."""
        group: list[_Waiting] = []
        for waiting in self._take(GROUP_MOST_ENTRIES):
            if waiting.result.done():
                continue
            if now - waiting.since > QUEUE_TIMEOUT_SECONDS:
                self._fail([waiting], "the log is too slow; the request was not sent")
            else:
                group.append(waiting)
        return group

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        connection = await self._connected()
        if connection is None:
            self._fail(group, "the log cannot be reached; the request was not sent")
            return
        if self.lacks_replicas:
            self._fail(group, TOO_FEW_REPLICAS)
            return
        try:
            reply = await self._accept_in_time(connection, group)
        except TooFewReplicas:
            self._fail(group, UNKNOWN_OUTCOME)
            return
        except ReadOnlyLog:
            await self._drop()
            self._turn_away(group)
            return
        except _FAILURES as error:
            logger.warning("an accept call failed: %s", _cause(error))
            await self._drop()
            self._fail(group, UNKNOWN_OUTCOME)
            return
        self._admission.answered(len(group))
        metrics.group_size.observe(len(group))
        now = asyncio.get_running_loop().time()
        for waiting, result in zip(group, reply.results, strict=True):
            metrics.accept_seconds.observe(now - waiting.since)
            if not waiting.result.done():
                waiting.result.set_result(result)
        # They are answered; while the bell is spread, others arrive.
        self._in_flight = 0
        if reply.ring:
            self._ring()
            await self._spread_bell(connection)

    def _turn_away(self, group: Sequence[_Waiting]) -> None:
        """Say that nothing was done, and to ask another master, where there may be one."""
        if self._master is None:
            self._fail(group, READ_ONLY)
            return
        for waiting in group:
            if not waiting.result.done():
                waiting.result.set_result(AcceptResult("elsewhere"))

    async def _spread_bell(self, connection: AsyncLog) -> None:
        """Keep the next accept calls, in other partitions, from ringing for a second drain."""
        try:
            await connection.spread_bell()
        except _FAILURES as error:
            logger.warning("the log does not answer: %s", _cause(error))
            await self._drop()

    async def _accept_in_time(self, connection: AsyncLog, group: Sequence[_Waiting]) -> AcceptReply:
        """Make one accept call, and one more for what was late in Redis' eyes."""
        reply = await self._accept(connection, group)
        if late := [i for i, result in enumerate(reply.results) if result.status == "late"]:
            # Redis' clock was set: nothing was written, and now its time is known.
            again = await self._accept(connection, [group[i] for i in late])
            for i, result in zip(late, again.results, strict=True):
                reply.results[i] = result
            reply = replace(reply, ring=reply.ring or again.ring)
        return reply

    async def _accept(self, connection: AsyncLog, group: Sequence[_Waiting]) -> AcceptReply:
        """Make one accept call, void once its answer is no longer waited for."""
        loop = asyncio.get_running_loop()
        deadline_ms = int(loop.time() * 1000 + self._clock_offset_ms + ANSWER_SECONDS * 1000)
        calls = self._record(group)
        requests = [waiting.request for waiting in group]
        connection.database_id = self.database_id
        at = self._master.partitions if self._master else log.ALL
        try:
            reply = await connection.accept(self._limits, deadline_ms, requests, at)
        except TooFewReplicas:
            self._note_replicas(connection.acknowledged, lacking=True)
            raise
        finally:
            for call in calls:
                call.end()
        self._note_replicas(connection.acknowledged, lacking=False)
        if reply.now_ms:  # not where all of it is elsewhere
            self._clock_offset_ms = reply.now_ms - loop.time() * 1000
        self.ready = reply.is_open
        if not reply.is_open:
            self._on_connected()
        if len(reply.results) != len(group):
            raise Unavailable("the script answered another call")
        return reply

    def _record(self, group: Sequence[_Waiting]) -> "Sequence[Span]":
        """Begin a span of the call for each request that is traced; its entry carries it on."""
        if self._spans is None:
            return ()
        calls = []
        for waiting in group:
            if waiting.context is not None:
                call, trace = self._spans.group_commit(waiting.context, len(group))
                waiting.request = replace(waiting.request, trace=trace)
                calls.append(call)
        return calls

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

    async def _connected(self) -> AsyncLog | None:
        if self._log is None:
            try:
                url = self._master.url if self._master else None
                self._log = await AsyncLog.connected(self._settings, "verbatim-accept", url)
                here_ms = asyncio.get_running_loop().time() * 1000
                self._clock_offset_ms = await self._log.now_ms() - here_ms
            except _FAILURES as error:
                logger.warning("the log cannot be reached: %s", _cause(error))
                await self._drop()
                return None
            self._on_connected()
        return self._log

    async def _heartbeat(self) -> None:
        """Look whether the log is open, and how full Redis is."""
        try:
            if connection := await self._connected():
                # Only writes would show it.
                await connection.refuse_replica()
                self.memory_ratio = await connection.memory_ratio()
                await self._accept(connection, [])
        except TooFewReplicas:
            pass  # noted, and the connection is sound
        except _FAILURES as error:
            logger.warning("the log does not answer: %s", _cause(error))
            await self._drop()
        # One timer a second: a time-out of each wait for requests would be one for each request.
        self._is_heartbeat_due = False
        if self._next_heartbeat is not None:
            self._next_heartbeat.cancel()
        self._next_heartbeat = asyncio.get_running_loop().call_later(
            HEARTBEAT_SECONDS, self._call_for_heartbeat
        )

    def _call_for_heartbeat(self) -> None:
        self._is_heartbeat_due = True
        self._arrived.set()

    async def _drop(self) -> None:
        """Give the connection up: a late answer on it could reach the wrong request."""
        self.ready = False
        if self._master is not None:
            self._master.on_lost()
        connection, self._log = self._log, None
        if connection is not None:
            with suppress(*_FAILURES):
                await connection.close()

    def _fail(self, group: Sequence[_Waiting], detail: str) -> None:
        for waiting in group:
            if not waiting.result.done():
                metrics.refused_total.labels("unavailable").inc()
                waiting.result.set_exception(Unavailable(detail))


def _cause(error: Exception) -> str:
    """Return what went wrong. Of others' errors the name only: a text may quote what was sent."""
    cause = error.__cause__ or error
    return str(cause) if isinstance(cause, Unavailable) else type(cause).__name__
