"""One batch of the drain: one transaction, then one trim.

The partitions' rows are locked first, and only then is the log read: a worker that was paused
between the two would otherwise apply old entries after newer ones. `last_id` alone decides what is
applied, so a COMMIT whose outcome is unknown needs no special case.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from sqlalchemy import Engine

from api.core import failpoints, partition_counts, tracing, went_back
from api.core.bind import open_log
from api.core.entries import MALFORMED, VERSION, Entry, end_of_share
from api.core.errors import WrongDatabaseError
from api.core.log import Log
from api.core.metrics import DrainCounts
from api.core.settings import Settings
from workers import sql
from workers.apply import Applier
from workers.batch_result import BatchResult
from workers.failures import BatchFailedError
from workers.validation import validated

if TYPE_CHECKING:
    from api.core.spans import Spans

logger = logging.getLogger(__name__)

_READABLE: Final = frozenset({VERSION, MALFORMED})


class BatchWriter:
    """Moves entries from the log to PostgreSQL, one batch at a time."""

    def __init__(self, log: Log, engine: Engine, settings: Settings) -> None:
        self._log = log
        self._engine = engine
        self._max_entries = settings.batch_max_entries
        self._max_bytes = settings.batch_max_bytes
        self._token_seconds = settings.access_token_minutes * 60
        self._keep_ms = settings.log_keep_seconds * 1000
        self._replicas = settings.redis_replicas
        self._spans = tracing.spans_of(settings, "verbatim-worker")

    def write_batch(
        self, partitions: Sequence[int], most: int, limits: Mapping[int, int]
    ) -> BatchResult:
        """Commit a batch of at most `most` of these partitions, then trim the log.

        `limits` bounds the entries of single partitions. Where an entry may be to blame for a
        failure, the batch is tried once more with a search for that entry. Raises BatchFailedError
        if that is not it, or did not help: nothing was committed, or the outcome is unknown.
        """
        try:
            return self._attempt(partitions, most, limits, bisecting=False)
        except BatchFailedError as failure:
            if not failure.may_be_caused_by_entry:
                raise
        return self._attempt(partitions, most, limits, bisecting=True)

    def _attempt(
        self, partitions: Sequence[int], most: int, limits: Mapping[int, int], *, bisecting: bool
    ) -> BatchResult:
        started = time.monotonic()
        result = BatchResult()
        try:
            with sql.transaction(self._engine) as cursor:
                result.locked = partition_counts.lock_free(cursor, partitions, most)
                failpoints.reach("drain.after_lock")
                now_ms = self._apply(cursor, result, limits, bisecting=bisecting)
                answered = time.monotonic()
                failpoints.reach("drain.before_commit")
            # PostgreSQL's clock at the last statement, plus the time that the commit took.
            committed_ms = now_ms + (time.monotonic() - answered) * 1000
            result.lags_ms = [round(committed_ms - entry.created_at_ms) for entry in result.applied]
            if self._spans is not None:
                self._record(self._spans, result, answered)
            failpoints.reach("drain.after_commit")
            self._trim(result, started)
        except WrongDatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the log still has the entries
            share = self._share(result.locked)
            raise BatchFailedError(sorted(result.locked), share, error) from None
        return result

    def _record(self, spans: "Spans", result: BatchResult, answered: float) -> None:
        """Record a batch in the traces of its entries. `answered`: when its commit began."""
        ended = time.monotonic()
        if traced := [entry for entry in result.applied if entry.trace]:
            read_ms = result.reading.as_of_ms
            began_ms, ended_ms = (
                read_ms + (moment - result.read_at) * 1000 for moment in (answered, ended)
            )
            spans.drained(traced, len(result.entries), read_ms, began_ms, ended_ms)

    def _share(self, locked: Mapping[int, object]) -> int:
        """Return how many entries of each partition a batch takes."""
        return max(1, self._max_entries // max(1, len(locked)))

    def _apply(
        self, cursor: Cursor, result: BatchResult, limits: Mapping[int, int], *, bisecting: bool
    ) -> float:
        """Write what the log has of the locked partitions; return PostgreSQL's Unix time in ms."""
        if not result.locked:
            return 0
        self._check_marks(result.locked)
        entries = self._read(result, limits)
        applier = Applier(cursor, result)
        if not bisecting:
            applier.apply(entries)
        else:
            for partition in entries:
                applier.bisect(partition, entries[partition])
        advances = result.advances()
        if not advances:
            return 0
        advanced = partition_counts.advance(cursor, advances)
        self._recount_regressed(result, advanced)
        return advanced.now_ms

    def _check_marks(self, locked: Mapping[int, partition_counts.Locked]) -> None:
        """Refuse another database's log; bring a log that forgot something up to date.

        A tail below `last_id` is raised, so that ids which PostgreSQL has passed are not given out
        again. A count of accepted entries below PostgreSQL's means that an older Redis was
        restored, or a defect: it is raised as well, and logged as an error. What PostgreSQL had,
        and has no more, is taken from the log again.
        """
        marks = self._log.marks(list(locked))
        if marks.database_id is None or None in marks.tails.values():
            open_log(self._log, self._engine)
            return
        database_id = next(iter(locked.values())).database_id
        stored = {p: (p, known.last_id, known.counted) for p, known in locked.items()}
        went_back.take_again(
            self._log, [stored[p] for p in locked if marks.committed[p] > locked[p].last_id]
        )
        behind = [p for p in locked if (marks.tails[p] or 0) < locked[p].last_id]
        if behind or marks.database_id != database_id:
            self._log.adopt(database_id, [stored[p] for p in behind or locked])
        forgotten = [p for p in locked if marks.accepted[p] < locked[p].counted and p not in behind]
        if forgotten:
            logger.error("partitions %s: the log counted less than is stored", forgotten)
            self._log.recount(stored[p] for p in forgotten)

    def _recount_regressed(self, result: BatchResult, advanced: partition_counts.Advanced) -> None:
        """Add regressed entries to the log's count of accepted entries, which lacks them."""
        partitions = {
            letter.partition for letter in result.dead_letters if letter.reason == "regressed"
        }
        if partitions:
            self._log.recount((partition, *advanced.counted[partition]) for partition in partitions)

    def _read(self, result: BatchResult, limits: Mapping[int, int]) -> dict[int, list[Entry]]:
        share = self._share(result.locked)
        max_bytes = max(1, self._max_bytes // len(result.locked))
        readable = {}
        result.reading = self._log.read(result.locked, share, max_bytes)
        result.read_at = time.monotonic()
        if self._replicas:
            self._log.wait_for_replicas(result.reading, self._replicas)
        for partition, entries in result.reading.items():
            last_id = result.locked[partition].last_id
            if result.reading.after[partition] < last_id and (
                not entries or entries[0].id > last_id
            ):
                # A worker of before there were kept entries has removed some.
                result.reading.after[partition] = -1
            known = cut = entries[: end_of_share(entries, limits.get(partition, share))]
            if not {entry.version for entry in cut} <= _READABLE:
                known = list(takewhile(lambda entry: entry.version in _READABLE, cut))
            if len(known) < len(cut):
                result.waiting.add(partition)
                logger.error(
                    "partition %d waits for a newer worker: its next entry has format %d",
                    partition,
                    cut[len(known)].version,
                )
            readable[partition] = [validated(partition, entry) for entry in known]
        return readable

    def _trim(self, result: BatchResult, started: float) -> None:
        """Remove the committed entries from the log, and count them for the metrics."""
        for letter in result.dead_letters:
            logger.error("dead letter %d: %s %s", letter.entry.id, letter.reason, letter.sqlstate)
        if not result.locked:
            return
        committed = {
            p: entries[-1].id if (entries := result.done.get(p)) else 0 for p in result.reading
        }
        counts = DrainCounts()
        counts.count(
            committed=len(result.applied),
            duplicates=result.duplicates,
            discarded=result.discarded,
            dead_letters=len(result.dead_letters),
        )
        counts.observe_lags(result.lags_ms)
        entries = result.entries
        if entries:
            drain_ms = round((time.monotonic() - started) * 1000)
            counts.observe_batch(entries=len(entries), drain_ms=drain_ms)
        conversations = {entry.conversation_id for entry in entries}
        users = _held(result.done)
        for user in result.lost_users:
            # What else such a token writes is to be refused, not accepted and then discarded.
            self._log.refuse_lost_user(user, self._token_seconds)
        self._log.trim(
            *(committed, conversations, counts.mapping(), users),
            reading=result.reading,
            keep_ms=self._keep_ms,
        )


def _held(done: Mapping[int, Sequence[Entry]]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return the entries and their bytes, by partition and user."""
    held: dict[tuple[int, int], tuple[int, int]] = {}
    for partition, of_one in done.items():
        sizes: dict[int, list[int]] = {}
        for entry in of_one:
            sizes.setdefault(entry.user_id, []).append(len(entry.data))
        held |= {(partition, user): (len(all_), sum(all_)) for user, all_ in sizes.items()}
    return held
