"""One batch of the drain: one transaction, then one trim.

The partitions' rows are locked first and the log is read only then, so that no worker, however long
it was paused, applies old entries after newer ones. What is applied is decided by `last_id` alone:
a COMMIT whose outcome is unknown needs no handling of its own.
"""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, takewhile
from typing import Final

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from sqlalchemy import Engine

from api.core import failpoints, ids
from api.core.bind import open_log
from api.core.entries import MALFORMED, VERSION, Entry
from api.core.errors import WrongDatabaseError
from api.core.log import Log
from api.core.metrics import DrainCounts
from api.core.settings import Settings
from workers import sql
from workers.failures import BatchFailedError, may_be_entrys_own, sqlstate_of
from workers.plan import Death, Plan, Tally, make_plan, sound

logger = logging.getLogger(__name__)

#: More than so many dead letters a minute are no longer the entries' fault.
MOST_DEATHS_A_MINUTE: Final = 100
#: Messages of a deleted conversation that one transaction removes.
PURGE_CHUNK: Final = 1_000

_READABLE: Final = frozenset({VERSION, MALFORMED})


@dataclass(slots=True)
class Batch:
    """What one transaction does, by partition. Without partitions: others hold them all."""

    locked: dict[int, sql.Locked] = field(default_factory=dict)
    #: Entries dealt with, whatever became of them.
    done: dict[int, list[Entry]] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    lags_ms: list[int] = field(default_factory=list)
    #: Partitions whose next entry has a format that only newer workers know.
    waiting: set[int] = field(default_factory=set)
    #: Partitions that stopped because too many entries died.
    halted: set[int] = field(default_factory=set)

    @property
    def entries(self) -> list[Entry]:
        """All entries dealt with."""
        return list(chain.from_iterable(self.done.values()))

    @property
    def applied(self) -> list[Entry]:
        """Entries that are in PostgreSQL now, and were not before."""
        return [entry for plan in self.plans for entry in plan.applied]

    @property
    def deaths(self) -> list[Death]:
        """Entries that became dead letters."""
        return [death for plan in self.plans for death in plan.deaths]

    @property
    def deleted(self) -> list[int]:
        """Conversations whose messages are to go, if they are tombstones.

        Also of deletes that were committed before: whoever committed them may have died.
        """
        return [entry.conversation_id for entry in self.entries if entry.op == "delete"]

    @property
    def discarded(self) -> int:
        """How many entries met a tombstone, or a user who is gone."""
        return sum(tally.discarded for plan in self.plans for tally in plan.tallies.values())

    @property
    def duplicates(self) -> int:
        """How many entries had been committed before."""
        return sum(plan.duplicates for plan in self.plans)

    def advances(self) -> dict[int, Tally]:
        """Return how the partitions' rows move on; those without new entries stay as they are."""
        sums = {p: Tally(locked.last_id) for p, locked in self.locked.items()}
        for partition, tally in chain.from_iterable(plan.tallies.items() for plan in self.plans):
            total = sums[partition]
            total.last_id = max(total.last_id, tally.last_id)
            total.applied += tally.applied
            total.dead += tally.dead
            total.discarded += tally.discarded
        return {p: t for p, t in sums.items() if t != Tally(self.locked[p].last_id)}


class Persister:
    """Moves entries from the log to PostgreSQL, a batch at a time."""

    def __init__(self, log: Log, engine: Engine, settings: Settings) -> None:
        self._log = log
        self._engine = engine
        self._max_entries = settings.batch_max_entries
        self._max_bytes = settings.batch_max_bytes

    def persist(self, partitions: Sequence[int], most: int, sizes: Mapping[int, int]) -> Batch:
        """Commit a batch of at most so many of these partitions, then trim the log.

        `sizes` bounds the entries of single partitions. Raises BatchFailedError when something
        failed that is no entry's fault: nothing was committed then, or nobody knows.
        """
        try:
            return self._attempt(partitions, most, sizes, carefully=False)
        except BatchFailedError as failure:
            if not failure.may_be_entrys_own:
                raise
        return self._attempt(partitions, most, sizes, carefully=True)

    def _attempt(
        self, partitions: Sequence[int], most: int, sizes: Mapping[int, int], *, carefully: bool
    ) -> Batch:
        started = time.monotonic()
        batch = Batch()
        try:
            with sql.transaction(self._engine) as cursor:
                batch.locked = sql.lock(cursor, partitions, most)
                failpoints.reach("drain.after_lock")
                now_ms = self._fill(cursor, batch, sizes, carefully=carefully)
                answered = time.monotonic()
                failpoints.reach("drain.before_commit")
            # PostgreSQL's clock at the last statement, and what the commit took after it.
            committed_ms = now_ms + (time.monotonic() - answered) * 1000
            batch.lags_ms = [round(committed_ms - entry.created_at_ms) for entry in batch.applied]
            failpoints.reach("drain.after_commit")
            self._trim(batch, started)
        except WrongDatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the log still has the entries
            share = self._share(batch.locked)
            raise BatchFailedError(sorted(batch.locked), share, error) from None
        return batch

    def _share(self, locked: Mapping[int, object]) -> int:
        return max(1, self._max_entries // max(1, len(locked)))

    def _fill(
        self, cursor: Cursor, batch: Batch, sizes: Mapping[int, int], *, carefully: bool
    ) -> float:
        """Write what is in the log of the locked partitions; return PostgreSQL's time."""
        if not batch.locked:
            return 0
        self._check_marks(batch.locked)
        entries = self._read(batch, sizes)
        work = _Work(cursor, batch)
        if not carefully:
            work.apply(entries)
        else:
            for partition in entries:
                work.bisect(partition, entries[partition])
        advances = batch.advances()
        if not advances:
            return 0
        advanced = sql.advance(cursor, advances.items())
        self._count_regressed(batch, advanced)
        return advanced.now_ms

    def _check_marks(self, locked: Mapping[int, sql.Locked]) -> None:
        """Refuse another database's log, and have one that forgot something catch up first.

        A tail behind the cursor is raised: no id that PostgreSQL has passed is given out any more.
        A count of accepted entries below what PostgreSQL has counted is an older Redis' own, or a
        mistake of ours: it is made up for, and an alarm.
        """
        marks = self._log.marks(list(locked))
        if marks.database_id is None or None in marks.tails.values():
            open_log(self._log, self._engine)
            return
        database_id = next(iter(locked.values())).database_id
        books = {p: (p, known.last_id, known.counted) for p, known in locked.items()}
        behind = [p for p in locked if (marks.tails[p] or 0) < locked[p].last_id]
        if behind or marks.database_id != database_id:
            self._log.adopt(database_id, [books[p] for p in behind])
        forgotten = [p for p in locked if marks.accepted[p] < locked[p].counted and p not in behind]
        if forgotten:
            logger.error("partitions %s: the log counted less than is stored", forgotten)
            self._log.recount(books[p] for p in forgotten)

    def _count_regressed(self, batch: Batch, advanced: sql.Advanced) -> None:
        """Have the log's count of accepted entries include those it had forgotten."""
        partitions = {death.partition for death in batch.deaths if death.reason == "regressed"}
        if partitions:
            self._log.recount((partition, *advanced.books[partition]) for partition in partitions)

    def _read(self, batch: Batch, sizes: Mapping[int, int]) -> dict[int, list[Entry]]:
        share = self._share(batch.locked)
        max_bytes = max(1, self._max_bytes // len(batch.locked))
        readable = {}
        for partition, entries in self._log.read(batch.locked, share, max_bytes).items():
            cut = entries[: sizes.get(partition, share)]
            known = list(takewhile(lambda entry: entry.version in _READABLE, cut))
            if len(known) < len(cut):
                batch.waiting.add(partition)
                logger.error("partition %d waits: format %d", partition, cut[len(known)].version)
            readable[partition] = [sound(partition, entry) for entry in known]
        return readable

    def _trim(self, batch: Batch, started: float) -> None:
        for death in batch.deaths:
            logger.error("dead letter %d: %s %s", death.entry.id, death.reason, death.sqlstate)
        committed = {p: entries[-1].id for p, entries in batch.done.items() if entries}
        if not committed:
            return
        counts = DrainCounts()
        counts.count(
            committed=len(batch.applied),
            duplicates=batch.duplicates,
            discarded=batch.discarded,
            dead_letters=len(batch.deaths),
        )
        counts.observe_lags(batch.lags_ms)
        entries = batch.entries
        counts.observe_batch(
            entries=len(entries), drain_ms=round((time.monotonic() - started) * 1000)
        )
        conversations = {entry.conversation_id for entry in entries}
        users = Counter(entry.user_id for entry in entries)
        self._log.trim(committed, conversations, counts.mapping(), users)

    def unpurged(self) -> list[int]:
        """Return deleted conversations that still have messages."""
        with sql.transaction(self._engine) as cursor:
            return sql.unpurged(cursor)

    def purge(self, conversation_id: int) -> bool | None:
        """Remove some messages of a deleted conversation.

        Returns whether none are left, or None where another holds the partition or deletes them.
        """
        partition = ids.partition_of(conversation_id)
        try:
            with sql.transaction(self._engine) as cursor:
                if not sql.lock(cursor, [partition], 1):
                    return None
                return sql.purge(cursor, conversation_id, PURGE_CHUNK)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next drain tries again
            raise BatchFailedError([partition], 1, error) from None


class _Work:
    """The writing inside one transaction."""

    def __init__(self, cursor: Cursor, batch: Batch) -> None:
        self._cursor = cursor
        self._batch = batch
        self._last_ids = {p: locked.last_id for p, locked in batch.locked.items()}

    def apply(
        self,
        entries: Mapping[int, list[Entry]],
        *,
        look_twice: bool = False,
        blank: Mapping[int, str | None] | None = None,
    ) -> None:
        """Write entries by partition, in order; those in `blank` without their text."""
        everything = list(chain.from_iterable(entries.values()))
        if not everything:
            return
        committed = [e for p, found in entries.items() for e in found if e.id <= self._last_ids[p]]
        known = sql.look_up(self._cursor, everything, everything if look_twice else committed)
        plan = make_plan(entries, self._last_ids, known, blank or {})
        if plan.deaths:
            room = MOST_DEATHS_A_MINUTE - sql.recent_deaths(self._cursor)
            if excess := plan.deaths[max(room, 0) :]:
                entries = self._halt(entries, excess)
                plan = make_plan(entries, self._last_ids, known, blank or {})
        sql.write(self._cursor, plan)
        self._batch.plans.append(plan)
        for partition, found in entries.items():
            self._batch.done.setdefault(partition, []).extend(found)

    def bisect(self, partition: int, entries: list[Entry]) -> None:
        """Write entries, and find the ones that PostgreSQL takes without their text only."""
        if partition in self._batch.halted:
            return
        try:
            with sql.savepoint(self._cursor):
                self.apply({partition: entries}, look_twice=True)
        except Exception as error:
            if not may_be_entrys_own(error):
                raise
            sqlstate = sqlstate_of(error) or None
        else:
            return
        if len(entries) == 1:
            # If this fails too, the entry was not to blame, and it is tried for ever.
            blank = {entries[0].id: sqlstate}
            self.apply({partition: entries}, look_twice=True, blank=blank)
            return
        half = len(entries) // 2
        self.bisect(partition, entries[:half])
        self.bisect(partition, entries[half:])

    def _halt(
        self, entries: Mapping[int, list[Entry]], excess: list[Death]
    ) -> dict[int, list[Entry]]:
        """Return the entries before the first that may not die now."""
        stops: dict[int, int] = {}
        for death in excess:
            stops.setdefault(death.partition, death.entry.id)
        self._batch.halted |= stops.keys()
        return {
            partition: [e for e in found if e.id < stops.get(partition, e.id + 1)]
            for partition, found in entries.items()
        }
