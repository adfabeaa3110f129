"""Group commit: one task owns one connection and sends all that waits as one accept call.

Under load the round trip and the fsync are shared. Requests wait on a future and only the owner
touches the socket, so a request that is cancelled cannot leave half a reply behind for the next.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from api.core import metrics, tracing
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptReply, AcceptResult
from api.core.errors import ReadOnlyLog, TooFewReplicas, Unavailable
from api.core.redis_client import ANSWER_SECONDS
from api.core.settings import Settings
from api.writes.accept_connection import AcceptConnection
from api.writes.admission import Admission
from api.writes.lasting_connection import FAILURES, LastingConnection, Master, cause_of

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


@dataclass(slots=True)
class _Waiting:
    request: AcceptRequest
    since: float
    result: asyncio.Future[AcceptResult] = field(default_factory=asyncio.Future)
    #: Where its call to Redis belongs among the spans; None where it is not traced.
    context: "Context | None" = None


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
        self._has_master = master is not None
        self._connection = LastingConnection(settings, on_connected=on_connected, master=master)
        self._spans = tracing.spans_of(settings, "verbatim-api")
        self._ring = ring
        self._queue: deque[_Waiting] = deque()
        self._queue_bytes = 0
        self._in_flight = 0
        self._admission = Admission(QUEUE_MAX_ENTRIES)
        self._arrived = asyncio.Event()
        self._stopping = False
        self._refusing = ""
        self._is_heartbeat_due = False
        self._next_heartbeat: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def database_id(self) -> str:
        """The database that the log must belong to; nothing is taken before it is known."""
        return self._connection.database_id

    @database_id.setter
    def database_id(self, database_id: str) -> None:
        self._connection.database_id = database_id

    @property
    def memory_ratio(self) -> float:
        """Used memory as a part of Redis' maxmemory, 0 without a limit."""
        return self._connection.memory_ratio

    @property
    def ready(self) -> bool:
        """The log answered last time it was asked, and was open."""
        return self._connection.ready

    @property
    def lacks_replicas(self) -> bool:
        """Fewer than REDIS_REPLICAS had the last call: nothing is sent until enough have."""
        return self._connection.lacks_replicas

    @property
    def acknowledged(self) -> int:
        """How many had it; 0 where none are asked for."""
        return self._connection.acknowledged

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
            _, late = await asyncio.wait([self._task], timeout=2 * ANSWER_SECONDS)
            if late:
                self._task.cancel()
                await asyncio.wait(late)
        while self._queue:
            self._fail(self._take(len(self._queue)), self._refusing)
        await self._connection.drop()

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
        log = self._connection
        most = MEMORY_NO_OPENS if request.op == "open" else MEMORY_NO_WRITES
        if self._refusing:
            raise Unavailable(self._refusing)
        if not log.database_id:
            metrics.refused_total.labels("closed").inc()
            raise Unavailable("the log is not open yet")
        if log.lacks_replicas:
            metrics.refused_total.labels("replicas").inc()
            raise Unavailable(TOO_FEW_REPLICAS)
        if log.memory_ratio > most:
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
                try:
                    await self._commit(group)
                finally:
                    # Whoever has no answer by now gets none: the stop took too long.
                    self._fail(group, UNKNOWN_OUTCOME)
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
        connection = await self._connection.get()
        if connection is None:
            self._fail(group, "the log cannot be reached; the request was not sent")
            return
        if self.lacks_replicas:
            self._fail(group, TOO_FEW_REPLICAS)
            return
        try:
            reply = await self._accept(connection, group)
        except TooFewReplicas:
            self._fail(group, UNKNOWN_OUTCOME)
            return
        except ReadOnlyLog:
            await self._connection.drop()
            self._turn_away(group)
            return
        except FAILURES as error:
            logger.warning("an accept call failed: %s", cause_of(error))
            await self._connection.drop()
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
            await self._connection.spread_bell(connection)

    def _turn_away(self, group: Sequence[_Waiting]) -> None:
        """Say that nothing was done, and to ask another master, where there may be one."""
        if not self._has_master:
            self._fail(group, READ_ONLY)
            return
        for waiting in group:
            if not waiting.result.done():
                waiting.result.set_result(AcceptResult("elsewhere"))

    async def _accept(self, connection: AcceptConnection, group: Sequence[_Waiting]) -> AcceptReply:
        """Have the log accept a group, with a span for each request that is traced."""
        calls = self._record(group)
        try:
            return await self._connection.accept_in_time(
                connection, [waiting.request for waiting in group]
            )
        finally:
            for call in calls:
                call.end()

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

    async def _heartbeat(self) -> None:
        """Look how the log is, and do so again in a second."""
        await self._connection.look()
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

    def _fail(self, group: Sequence[_Waiting], detail: str) -> None:
        for waiting in group:
            if not waiting.result.done():
                metrics.refused_total.labels("unavailable").inc()
                waiting.result.set_exception(Unavailable(detail))
