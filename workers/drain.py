"""The drain: moves the log to PostgreSQL until it is quiet, or its slice of time is over.

It serves all partitions at once, keeps nothing that matters in memory, and may run any number of
times, beside itself or twice for one doorbell: what it does is decided under PostgreSQL's locks.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine

from api.core import ids
from api.core.bind import open_log
from api.core.errors import WrongDatabaseError
from api.core.log import Head, Log
from api.core.settings import Settings
from workers.batch import Batch, Persister
from workers.failures import BatchFailedError, DrainFailedError, describe

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")

#: Ticks without an entry after which a drain ends.
QUIET_TICKS: Final = 3
#: Between batches it rests as long as the last one took, a tick at least: where the machine has
#: much to do, batches get larger, and each message cheaper.
REST_MOST_SECONDS: Final = 0.05
#: A drain gives its process back after so long, and rings for the next.
SLICE_SECONDS: Final = 5.0
#: No partition is tried alone later than this in a run; Celery's hard limit is 60 s.
ALONE_SECONDS: Final = 20.0
#: Above so many entries a second drain is rung for, and each locks a few partitions only.
HELPER_BACKLOG: Final = 2_000
HELPED_PARTITIONS: Final = 4


@dataclass(slots=True)
class _Run:
    """What one run did, and what it keeps away from."""

    started: float = field(default_factory=time.monotonic)
    messages: int = 0
    entries: int = 0
    batches: int = 0
    duplicates: int = 0
    discarded: int = 0
    dead: int = 0
    oldest_ms: int = 0
    #: More is known to wait than the last batch took.
    more: bool = False
    #: Others hold every partition that has entries, or too many entries died: leave all as it is.
    ended: bool = False
    failed: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    failure: str = ""
    #: The failure was a time-out: somebody holds a row, the rest of PostgreSQL may well work.
    timed_out: bool = False

    def lasts(self, seconds: float) -> bool:
        """Tell whether the run is younger than this."""
        return time.monotonic() - self.started < seconds

    def record(self, batch: Batch) -> None:
        """Add up what a batch did."""
        self.batches += bool(batch.done)
        self.entries += len(batch.entries)
        self.messages += sum(entry.op == "add" for entry in batch.applied)
        self.duplicates += batch.duplicates
        self.discarded += batch.discarded
        self.dead += len(batch.deaths)
        self.oldest_ms = max(self.oldest_ms, *batch.lags_ms, 0)
        self.waiting |= batch.waiting

    def summary(self) -> dict[str, int]:
        """Return what Flower shows of a run."""
        return {
            "messages": self.messages,
            "entries": self.entries,
            "batches": self.batches,
            "oldest_ms": self.oldest_ms,
            "duplicates": self.duplicates,
            "discarded": self.discarded,
            "dead": self.dead,
        }


class Drain:
    """Drains one log into one database. One per process; `run` is the whole of the task."""

    def __init__(
        self,
        log: Log,
        engine: Engine,
        settings: Settings,
        ring: Callable[[], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log = log
        self._engine = engine
        self._ring_bell = ring
        self._should_stop = should_stop
        self._tick_seconds = settings.tick_ms / 1000
        self._max_entries = settings.batch_max_entries
        self._persister = Persister(log, engine, settings)
        self._opened = False
        #: Partitions that failed when tried alone; they are tried last, so that they delay nobody.
        self._suspects: set[int] = set()
        #: Entries a batch may take of partitions that timed out.
        self._sizes: dict[int, int] = {}
        #: Deleted conversations whose messages are still to be removed.
        self._unpurged: list[int] = []

    def run(self) -> dict[str, int]:
        """Drain, and return what was done. Raises DrainFailedError: the next ring tries again."""
        run = _Run()
        try:
            self._log.started()
            self._open()
            while not run.ended:
                self._until_quiet(run)
                if not run.ended:
                    self._leave(run)
        except WrongDatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - its text may quote rows, so it goes no further
            run.failure = describe(error)
        if run.failure:
            self._back_off(run)
            raise DrainFailedError(f"{run.failure} (entries before that: {run.entries})")
        return run.summary()

    def _open(self) -> None:
        """At the start of a process: see that this is our log, and what was left undone."""
        if not self._opened:
            open_log(self._log, self._engine)
            self._unpurged = self._persister.unpurged()
            self._opened = True

    def _back_off(self, run: _Run) -> None:
        """Where nothing works at all, let no accept ring before the bell's time is over."""
        if not run.entries and not run.timed_out:
            with suppress(RedisError):
                self._log.hold_bell()

    def _until_quiet(self, run: _Run) -> None:
        quiet = 0
        while quiet < QUIET_TICKS and run.lasts(SLICE_SECONDS) and not self._should_stop():
            began = time.monotonic()
            heads = self._workable(run)
            run.more = False
            moved = bool(heads) and self._step(run, heads)
            if run.ended:
                return
            if not run.more:
                moved = self._purge_some(run) or moved
                took = time.monotonic() - began
                time.sleep(max(self._tick_seconds, min(took, REST_MOST_SECONDS)))
            quiet = 0 if moved else quiet + 1

    def _workable(self, run: _Run) -> list[Head]:
        aside = self._suspects | run.failed | run.waiting
        return [head for head in self._log.heads() if head.partition not in aside]

    def _step(self, run: _Run, heads: list[Head]) -> bool:
        """Commit one batch; tell whether something moved."""
        backlog = sum(head.entries for head in heads)
        most = ids.PARTITIONS
        if backlog > HELPER_BACKLOG:
            most = HELPED_PARTITIONS
            if self._log.wants_helper():
                self._ring()
        try:
            batch = self._persister.persist(
                _shuffled(head.partition for head in heads), most, self._sizes
            )
        except BatchFailedError as failure:
            self._note(failure)
            if failure.out_of_reach:
                raise
            self._each_alone(run, failure)
            return True
        self._succeed(run, batch)
        run.more = backlog > len(batch.entries) > 0
        run.ended = run.ended or not batch.locked
        return bool(batch.entries)

    def _each_alone(self, run: _Run, failure: BatchFailedError) -> None:
        """Try each partition of a failed batch in a transaction of its own, in random order.

        So one row that somebody holds delays its own partition only.
        """
        if len(failure.partitions) == 1:
            self._set_aside(run, failure)
            return
        for partition in _shuffled(failure.partitions):
            if run.lasts(ALONE_SECONDS):
                self._alone(run, partition)

    def _alone(self, run: _Run, partition: int) -> bool:
        try:
            batch = self._persister.persist([partition], 1, self._sizes)
        except BatchFailedError as failure:
            self._note(failure)
            if failure.out_of_reach:
                raise
            self._set_aside(run, failure)
            return False
        self._succeed(run, batch)
        if batch.locked:
            self._suspects.discard(partition)
        return bool(batch.entries)

    def _set_aside(self, run: _Run, failure: BatchFailedError) -> None:
        run.failed.update(failure.partitions)
        run.failure = run.failure or str(failure)
        run.timed_out = run.timed_out or failure.timed_out
        self._suspects.update(failure.partitions)

    def _note(self, failure: BatchFailedError) -> None:
        """Log a failure, and take smaller batches after a time-out."""
        logger.warning("a batch of partitions %s failed: %s", failure.partitions, failure)
        if failure.timed_out:
            for partition in failure.partitions:
                size = min(self._sizes.get(partition, failure.share), failure.share)
                self._sizes[partition] = max(1, size // 2)

    def _succeed(self, run: _Run, batch: Batch) -> None:
        run.record(batch)
        self._unpurged.extend(batch.deleted)
        for partition in batch.locked.keys() & self._sizes.keys():
            self._sizes[partition] *= 2
            if self._sizes[partition] >= self._max_entries:
                del self._sizes[partition]
        if batch.halted:
            logger.error("too many dead letters in a minute: partitions %s stop", batch.halted)
            run.failure = "too many dead letters in a minute"
            run.ended = True

    def _purge_some(self, run: _Run) -> bool:
        """Remove a chunk of a deleted conversation's messages; tell whether some were."""
        if not self._unpurged:
            return False
        conversation = self._unpurged.pop()
        if ids.partition_of(conversation) in run.failed:
            self._unpurged.insert(0, conversation)
            return False
        try:
            purged = self._persister.purge(conversation)
        except BatchFailedError as failure:
            self._unpurged.insert(0, conversation)
            if failure.out_of_reach:
                raise
            run.failed.update(failure.partitions)
            run.failure = run.failure or str(failure)
            return True
        if not purged:
            self._unpurged.insert(0, conversation)
        return purged is not None

    def _leave(self, run: _Run) -> None:
        """End the run, unless entries came that can be moved; see that what is left is rung for."""
        run.ended = True
        if self._log.finish():
            if self._unpurged and not run.lasts(SLICE_SECONDS):
                self._ring()
        elif self._should_stop():
            self._log.silence()
            self._ring()
        else:
            self._leave_some(run)

    def _leave_some(self, run: _Run) -> None:
        over = not run.lasts(SLICE_SECONDS)
        workable = bool(self._workable(run))
        if not workable:
            # What is left cannot be moved now. The next accept is to ring all the same; what was
            # accepted before the bell was away is looked for once more.
            self._log.silence()
            workable = bool(self._workable(run))
        if workable and not over:
            run.ended = False
            return
        if workable:
            self._ring()
        if self._try_suspects(run):
            if over:
                self._ring()
            run.ended = over

    def _try_suspects(self, run: _Run) -> bool:
        """Try partitions that failed in an earlier run; tell whether one moved."""
        moved = False
        for head in _shuffled(self._log.heads()):
            suspect = head.partition in self._suspects - run.failed - run.waiting
            if suspect and run.lasts(ALONE_SECONDS) and not self._should_stop():
                moved = self._alone(run, head.partition) or moved
        return moved

    def _ring(self) -> None:
        try:
            self._ring_bell()
        except (OperationalError, OSError) as error:
            # The watch will ring for what is in the log.
            logger.warning("the doorbell did not ring: %s", type(error).__name__)


def _shuffled(items: Iterable[_Item]) -> list[_Item]:
    shuffled = list(items)
    random.shuffle(shuffled)
    return shuffled
