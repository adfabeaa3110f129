"""The drain: moves entries from the log to PostgreSQL until the log is quiet.

It serves all partitions, keeps no state that matters in memory, and may run any number of times,
in parallel or twice for one doorbell: what it does is decided under PostgreSQL's locks. One run:

               the log is quiet, the slice is over,
               or the worker shuts down
    DRAINING ---------------------------------------> LEAVING
     |  ^  ^                                           |   |
     |  |  |    new entries, and the slice is not over |   |
     |  |  +-------------------------------------------+   |
     |  |                                              |   |
     |  |  one moved, and the                          |   | only suspects are left,
     |  |  slice is not over                           |   | or the slice is over
     |  +---------------------------- RETRYING <-----------+
     |                                 |               |
     | other drains hold all           | otherwise     | the log is empty,
     | partitions, or too many         |               | or the worker shuts down
     | dead letters                    v               v
     +---------------------------------------------> ENDED

DRAINING commits batches of all workable partitions; where they leave time, it purges deleted
conversations and writes the words for search. A batch that fails is tried again partition by
partition. LEAVING puts the bell away, so that the next accept rings, and rings at once for what is
left. RETRYING tries the suspects one by one: partitions that failed in an earlier run
(`workers.health`). From DRAINING to ENDED the bell stays as it is: another drain puts it away, or
it expires. Losing a server ends the run in any state.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Final

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine, event

from api.core import ids, went_back
from api.core.bind import open_log
from api.core.errors import WrongDatabaseError
from api.core.failures import describe
from api.core.log import Log
from api.core.log_drain import Head
from api.core.settings import Settings
from workers.attempts import ALONE_SECONDS, Attempts, Step, shuffled
from workers.batch import BatchWriter
from workers.failures import DrainFailedError
from workers.health import PartitionHealth
from workers.purge import Purger
from workers.run import Run
from workers.search_words import SearchWords

logger = logging.getLogger(__name__)

#: Ticks without an entry after which the log counts as quiet.
QUIET_TICKS: Final = 3
#: Between batches a drain rests as long as the last one took, a tick at least and this at most: on
#: a busy machine batches get larger, and each message cheaper. Words are written in this time.
MAX_REST_SECONDS: Final = 0.05
#: A drain gives its process back after this time, and rings for the next one.
SLICE_SECONDS: Final = 5.0
#: Above this many entries a second drain is rung for, and each locks a few partitions only.
HELPER_BACKLOG: Final = 2_000
HELPED_PARTITIONS: Final = 4


class _State(Enum):
    DRAINING = auto()
    LEAVING = auto()
    RETRYING = auto()
    ENDED = auto()


class Drain:
    """Moves one log into one database. There is one per process; `run` is the whole task."""

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
        self._health = PartitionHealth(settings.batch_max_entries)
        self._purger = Purger(engine)
        writer = BatchWriter(log, engine, settings)
        self._attempts = Attempts(writer, self._health, self._purger)
        self._keep_ms = settings.log_keep_seconds * 1000
        self._words = SearchWords(engine)
        self._opened = False
        event.listen(engine, "connect", self._note_connection)

    def run(self) -> dict[str, int]:
        """Drain, and return what was done. Raises DrainFailedError: the next ring tries again."""
        run = Run()
        try:
            self._log.started()
            self._open()
            self._health.begin_run()
            self._run(run)
            if not (self._purger.is_done and self._words.is_done):
                self._log.leave_undone()
        except WrongDatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - its text may quote rows, so it goes no further
            run.failure = describe(error)
        if run.failure:
            self._back_off(run)
            raise DrainFailedError(f"{run.failure} (entries before that: {run.entries})")
        return run.summary()

    def _open(self) -> None:
        """Check that the log is this database's, and load unfinished purges.

        Once per process, and after new connections.
        """
        if not self._opened:
            if open_log(self._log, self._engine):
                went_back.mend(self._log, self._engine)
            self._purger.load()
            self._opened = True

    def _note_connection(self, *_: object) -> None:
        """A new connection may lead to another PostgreSQL, or to one that went back."""
        self._opened = False

    def _run(self, run: Run) -> None:
        state = _State.DRAINING
        while state is not _State.ENDED:
            match state:
                case _State.DRAINING:
                    state = self._drain(run)
                case _State.LEAVING:
                    state = self._leave(run)
                case _State.RETRYING:
                    state = self._retry_suspects(run)

    def _back_off(self, run: Run) -> None:
        """If the run committed nothing, keep the bell set until it expires (3 s).

        Accepts do not start another drain meanwhile. Not after a timeout: that is one row's matter.
        """
        if not run.entries and not run.timed_out:
            with suppress(RedisError):
                self._log.hold_bell()

    # DRAINING

    def _drain(self, run: Run) -> _State:
        """Commit batches until the log is quiet, the slice is over, or the worker shuts down."""
        quiet_ticks = 0
        while quiet_ticks < QUIET_TICKS and not self._is_over(run) and not self._should_stop():
            began = time.monotonic()
            heads = self._workable_heads()
            step = self._step(run, heads) if heads else Step()
            if step.ends_run:
                return _State.ENDED
            moved = step.moved
            if not step.more:
                moved = self._attempts.purge_some(run) or moved
                rests_from = time.monotonic()
                rests_until = rests_from + min(rests_from - began, MAX_REST_SECONDS)
                if not moved or self._words.is_due:
                    moved = self._words.write_some() or moved
                time.sleep(max(self._tick_seconds, rests_until - time.monotonic()))
            quiet_ticks = 0 if moved else quiet_ticks + 1
        return _State.LEAVING

    def _step(self, run: Run, heads: Sequence[Head]) -> Step:
        """Try one batch of these partitions, with a helper if much waits."""
        most = ids.PARTITIONS
        if sum(head.entries for head in heads) > HELPER_BACKLOG:
            most = HELPED_PARTITIONS
            if self._log.wants_helper():
                self._ring()
        return self._attempts.try_batch(run, heads, most)

    # LEAVING

    def _leave(self, run: Run) -> _State:
        """Put the bell away, and see that what is left in the log is rung for."""
        if self._log.finish():
            if not (self._purger.is_done and self._words.is_done) and self._is_over(run):
                self._ring()
            return _State.ENDED
        if self._should_stop():
            self._log.silence()
            self._ring()
            return _State.ENDED
        is_over = self._is_over(run)
        is_workable = bool(self._workable_heads())
        if not is_workable:
            # What is left cannot be moved now. The next accept is to ring all the same; what was
            # accepted just before the bell was put away did not, so it is looked for once more.
            self._log.silence()
            is_workable = bool(self._workable_heads())
        if is_workable and not is_over:
            return _State.DRAINING
        if is_workable:
            self._ring()
        return _State.RETRYING

    # RETRYING

    def _retry_suspects(self, run: Run) -> _State:
        """Try each partition that failed in an earlier run, alone and in random order."""
        was_over = self._is_over(run)
        moved = False
        for head in shuffled(self._log.heads()):
            may_be_retried = self._health.may_be_retried(head.partition)
            if may_be_retried and run.is_younger_than(ALONE_SECONDS) and not self._should_stop():
                batch = self._attempts.try_alone(run, head.partition)
                moved = moved or bool(batch and batch.entries)
        if moved and not was_over:
            return _State.DRAINING
        if moved:
            self._ring()
        return _State.ENDED

    # What the states share

    def _is_over(self, run: Run) -> bool:
        return not run.is_younger_than(SLICE_SECONDS)

    def _workable_heads(self) -> list[Head]:
        heads = self._log.heads(self._keep_ms)
        return [head for head in heads if self._health.is_workable(head.partition)]

    def _ring(self) -> None:
        try:
            self._ring_bell()
        except (OperationalError, OSError) as error:
            # The watchdog will ring for what is in the log.
            logger.warning("the doorbell did not ring: %s", type(error).__name__)
