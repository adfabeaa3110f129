"""Workers that die, freeze or leave, at the worst moments."""

import asyncio
import signal
from typing import ClassVar, Final

from tests.chaos.faults.base import COMMIT, Fault
from tests.chaos.node import Node
from tests.support.proxy import Link, Moment

_QUEUE: Final = "chaos:doorbell"
_TRIM: Final = b"\r\ntrim\r\n"
_LOCK: Final = b"FOR UPDATE"


class _WorkerFault(Fault):
    target = "worker"

    @property
    def worker(self) -> Node:
        """Any worker."""
        return self.rng.choice(self.site.workers)


class WorkerKilled(_WorkerFault):
    """kill -9, whatever it does."""

    name = "worker: kill -9"

    async def inject(self) -> None:
        self.worker.kill()


class WorkerChildKilled(_WorkerFault):
    """kill -9 of nothing but the process that drains; Celery's main process lives."""

    name = "worker: kill -9 of one child"

    async def inject(self) -> None:
        worker = self.worker
        children = await asyncio.create_subprocess_exec("pkill", "-KILL", "-P", str(worker.pid))
        await children.wait()


class _KilledAtCommit(_WorkerFault):
    moment: ClassVar[Moment]
    needle: ClassVar[bytes] = COMMIT

    async def link(self, worker: Node) -> Link:
        """Return the connection at which it dies."""
        return worker.links["postgres"]

    async def inject(self) -> None:
        """Whichever worker gets there first dies there."""
        attempts = [
            self.spring(await self.link(worker), self.needle, self.moment, worker.kill)
            for worker in self.site.workers
        ]
        await asyncio.gather(*attempts)


class KilledBeforeCommit(_KilledAtCommit):
    """The batch is written, the COMMIT never arrives."""

    name = "worker: kill -9 before the commit"
    moment = "before"


class KilledInCommit(_KilledAtCommit):
    """The COMMIT is on its way."""

    name = "worker: kill -9 in the commit"
    moment = "after"


class KilledAfterCommit(_KilledAtCommit):
    """PostgreSQL has committed, the worker never hears of it."""

    name = "worker: kill -9 after the commit"
    moment = "answer"


class KilledBeforeTrim(_KilledAtCommit):
    """Committed, and still in the log. On a cluster another worker may be the one that trims."""

    name = "worker: kill -9 before the trim"
    moment = "before"
    needle = _TRIM

    async def link(self, worker: Node) -> Link:
        return await self.site.link_to_log(worker)


class WorkerPaused(_WorkerFault):
    """SIGSTOP in the middle of a batch, for longer than every time-out; then it goes on."""

    name = "worker: paused while another takes over"
    seconds = 13.0
    brief_seconds = 6.5

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._paused = self.site.workers[0]

    async def inject(self) -> None:
        await self.spring(
            self._paused.links["postgres"],
            _LOCK,
            "after",
            lambda: self._paused.signal(signal.SIGSTOP),
        )
        self._paused.signal(signal.SIGSTOP)

    async def heal(self) -> None:
        self._paused.signal(signal.SIGCONT)


class WorkerTerminated(_WorkerFault):
    """SIGTERM while doorbells wait in the worker."""

    name = "worker: SIGTERM with doorbells prefetched"

    async def inject(self) -> None:
        await asyncio.to_thread(self.site.ring, 12)
        self.worker.signal_main(signal.SIGTERM)


class RollingRestart(_WorkerFault):
    """Every worker, then every API, is asked to stop, one after the other."""

    name = "all: rolling restart"

    async def inject(self) -> None:
        for node in (*self.site.workers, *self.site.apis):
            starts = node.supervised.starts
            node.signal_main(signal.SIGTERM)
            while node.supervised.starts == starts:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)


FAULTS: Final = (
    WorkerKilled,
    WorkerChildKilled,
    KilledBeforeCommit,
    KilledInCommit,
    KilledAfterCommit,
    KilledBeforeTrim,
    WorkerPaused,
    WorkerTerminated,
    RollingRestart,
)
