"""Apply entries inside one transaction, and find those that PostgreSQL refuses."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named

from api.core.batches import AddedMessage
from api.core.changes import REWRITES
from api.core.entries import Entry
from api.core.failures import sqlstate_of
from api.core.ids import PARTITIONS
from workers import sql, write
from workers.batch_result import BatchResult
from workers.failures import may_be_caused_by_entry
from workers.known import Known, external_ids_of
from workers.plan import DeadLetter, Plan
from workers.planner import make_plan

#: Circuit breaker: above this rate of dead letters a partition stops, because the database is the
#: likelier cause.
MAX_DEAD_LETTERS_PER_MINUTE: Final = 100
#: Operations that read what was written just before.
_CUTS: Final = REWRITES | {"fork"}


def _runs(entries: Mapping[int, list[Entry]]) -> Iterator[dict[int, list[Entry]]]:
    """Cut each partition's entries after those that rewrite messages, and go on in all of them.

    What is known of a run is looked up after the run before it was written.
    """
    left = {partition: found for partition, found in entries.items() if found}
    while left:
        ends = {
            partition: next(
                (end for end, entry in enumerate(found, 1) if entry.op in _CUTS), len(found)
            )
            for partition, found in left.items()
        }
        yield {partition: left[partition][:end] for partition, end in ends.items()}
        left = {p: left[p][end:] for p, end in ends.items() if end < len(left[p])}


def _follows_its_cut(letter: DeadLetter, known: Known) -> bool:
    """Return whether an entry goes with the one before it, which cut and is applied by now."""
    conversation = known.conversations.get(letter.entry.conversation_id)
    return conversation is not None and (conversation.rewritten_id + PARTITIONS == letter.entry.id)


class Applier:
    """Writes entries in one transaction, and notes in its result what became of them."""

    def __init__(self, cursor: Cursor, result: BatchResult) -> None:
        self._cursor = cursor
        self._result = result
        self._last_ids = {p: locked.last_id for p, locked in result.locked.items()}

    def apply(
        self,
        entries: Mapping[int, list[Entry]],
        *,
        look_up_all: bool = False,
        refused: Mapping[int, str | None] | None = None,
    ) -> None:
        """Write entries, given by partition and in the order of the log.

        Entries at or below `last_id` are looked up to check that they are stored; with
        `look_up_all` the others are, too. Entries in `refused` are written without their text.
        """
        written = []
        for run in _runs(entries):
            going_on = {p: found for p, found in run.items() if p not in self._result.halted}
            if going_on:
                written.append(
                    self._write(going_on, look_up_all=look_up_all, refused=refused or {})
                )
        # Only now: an error undoes all of them.
        for plan, done in written:
            self._result.plans.append(plan)
            for partition, found in done.items():
                self._result.done.setdefault(partition, []).extend(found)

    def _write(
        self,
        entries: Mapping[int, list[Entry]],
        *,
        look_up_all: bool,
        refused: Mapping[int, str | None],
    ) -> tuple[Plan, Mapping[int, list[Entry]]]:
        """Write entries; return what was done, and with which of them."""
        everything = list(chain.from_iterable(entries.values()))
        committed = [e for p, found in entries.items() for e in found if e.id <= self._last_ids[p]]
        checked = everything if look_up_all else committed
        asked = external_ids_of(everything, refused)
        known = sql.look_up(self._cursor, everything, checked, asked)
        plan = make_plan(entries, self._last_ids, known, refused)
        if plan.dead_letters:
            room = MAX_DEAD_LETTERS_PER_MINUTE - sql.recent_dead_letters(self._cursor)
            letters = plan.dead_letters[max(room, 0) :]
            if excess := [letter for letter in letters if not _follows_its_cut(letter, known)]:
                entries = self._halt(entries, excess)
                plan = make_plan(entries, self._last_ids, known, refused)
        write.write_plan(self._cursor, plan)
        return plan, entries

    def bisect(self, partition: int, entries: list[Entry]) -> None:
        """Write entries; halve them on errors of the data until the entries at fault are alone.

        Those are written without their text. If that fails too, the entry was not the cause: the
        error is raised, and the whole batch is tried again later.
        """
        if partition in self._result.halted:
            return
        try:
            with sql.savepoint(self._cursor):
                self.apply({partition: entries}, look_up_all=True)
        except Exception as error:
            if not may_be_caused_by_entry(error):
                raise
            sqlstate = sqlstate_of(error) or None
        else:
            return
        if len(entries) == 1:
            refused = self._refused(partition, entries[0], sqlstate)
            self.apply({partition: entries}, look_up_all=True, refused=refused)
            return
        half = len(entries) // 2
        self.bisect(partition, entries[:half])
        self.bisect(partition, entries[half:])

    def _refused(self, partition: int, entry: Entry, sqlstate: str | None) -> dict[int, str | None]:
        """Return which messages of an entry are at fault, or its own id where it has only one."""
        if len(entry.messages) < 2:  # noqa: PLR2004 - more than one
            return {entry.id: sqlstate}
        tried = {one.id: self._try_alone(partition, entry, one) for one in entry.messages}
        return {
            message_id: sqlstate_of(error) or None
            for message_id, error in tried.items()
            if error is not None
        }

    def _try_alone(self, partition: int, entry: Entry, suspect: AddedMessage) -> Exception | None:
        """Try a batch with the text of one message only, and undo it; return the data's error."""
        others = {message.id: None for message in entry.messages if message.id != suspect.id}
        try:
            with sql.trial(self._cursor):
                self._write({partition: [entry]}, look_up_all=True, refused=others)
        except Exception as error:
            if not may_be_caused_by_entry(error):
                raise
            return error
        return None

    def _halt(
        self, entries: Mapping[int, list[Entry]], excess: list[DeadLetter]
    ) -> dict[int, list[Entry]]:
        """Return, per partition, the entries before its first excess dead letter."""
        stops: dict[int, int] = {}
        for letter in excess:
            stops.setdefault(letter.partition, letter.entry.id)
        self._result.halted |= stops.keys()
        return {
            partition: [e for e in found if e.id < stops.get(partition, e.id + 1)]
            for partition, found in entries.items()
        }
