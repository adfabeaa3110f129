"""Reads that wait for what was accepted and is not drained yet (`read_after`).

A waiting read holds no connection: it asks, and if PostgreSQL is not there yet, lets go, and asks
how far PostgreSQL is, a little later and again, in one message each time. One that has waited in
vain asks the log whether it waits for anything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from sqlmodel import Session, select

from api.core import ids
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import NotFound, Unavailable
from api.core.prepared_statements import Statement
from api.core.single_reads import Query, Row, run
from api.reads import documents, reach
from api.reads.owners import require_account
from api.reads.partitions import PartitionRepository
from api.reads.slots import ReadSlot
from api.reads.standby import Found, Standby

T = TypeVar("T")
#: Which of these ids the log does not hold, and will not give out any more (`AsyncLog.absent`).
AbsentFromLog = Callable[[Iterable[int]], Awaitable[frozenset[int]]]

#: How long a read waits for the drain.
WAIT_SECONDS: Final = 2.0
POLL_FIRST_SECONDS: Final = 0.005
POLL_MOST_SECONDS: Final = 0.05

_LAST_IDS: Final = Query(Statement.of(select(documents.last_ids(wanted=True))), {})

#: What is tried again and again, given the ids that are known to be lost; None: not yet.
_Attempt = Callable[[Session, frozenset[int]], Found[T] | None]


class Reads:
    """Queries of one user's chat data, once PostgreSQL has what the reader may expect.

    Where there is a `standby`, it is asked first; each answer that it has not is the primary's. So
    what decides about a write is asked of `primary`.
    """

    def __init__(
        self,
        database: AsyncDatabase,
        absent_from_log: AbsentFromLog,
        standby: Standby | None = None,
    ) -> None:
        self._database = database
        self._absent_from_log = absent_from_log
        self._standby = standby

    @property
    def primary(self) -> "Reads":
        """The same reads, of no standby."""
        return type(self)(self._database, self._absent_from_log)

    async def after(
        self,
        owner: int,
        read_after: Sequence[int],
        work: Callable[[Session], T],
        slot: ReadSlot | None = None,
        is_ready: Callable[[Session], bool] = lambda _: True,
    ) -> T:
        """Run a query once every entry up to the given ids is in PostgreSQL, and `is_ready`.

        The `slot` is held while PostgreSQL is asked, and stays so with what was found. Raises
        BadRequest for an id from the future, Unavailable when the drain takes too long, Gone when
        an id was lost, TooMany when the slot is not free in time.
        """

        def attempt(session: Session, lost: frozenset[int]) -> Found[T] | None:
            is_there = reach.passed(session, read_after, lost) and is_ready(session)
            return Found(work(session)) if is_there else None

        def known(session: Session) -> T:
            if not is_ready(session):
                raise NotFound("the standby does not have it")
            return work(session)

        if found := await self._on_standby(owner, read_after, known, slot):
            return found.value
        return await self._until_found(owner, read_after, attempt, slot)

    async def since(self, owner: int, last_ids: Sequence[int], work: Callable[[Session], T]) -> T:
        """Run a query of an answer that takes several, and began when PostgreSQL had `last_ids`."""
        if found := await self._on_standby(owner, last_ids, work, None):
            return found.value
        return await self._database.read(Viewer(owner), work)

    async def row_since(self, owner: int, last_ids: Sequence[int], query: Query) -> Row | None:
        """Return the first row of a query, likewise; None for no row."""
        if found := await self._on_standby(owner, last_ids, lambda db: run(db, query), None):
            return found.value
        return await self._database.ask(owner, query)

    async def of_conversation(
        self,
        owner: int,
        conversation_id: int,
        read_after: Sequence[int],
        work: Callable[[Session], T | None],
        slot: ReadSlot | None = None,
    ) -> T:
        """Run a query about one conversation, likewise; None means that there is no such one.

        Raises NotFound only where PostgreSQL has caught up with the conversation's id, or it was
        lost: before that it may have been accepted a moment ago. Raises Unauthenticated instead
        where the owner does not exist.
        """

        def known(session: Session) -> T:
            if (found := work(session)) is None:
                raise NotFound("the standby does not have it")
            return found

        def attempt(session: Session, lost: frozenset[int]) -> Found[T] | None:
            if not reach.passed(session, read_after, lost):
                return None
            found = work(session)
            is_lost = conversation_id in lost
            if found is None and not is_lost and reach.may_come(session, conversation_id):
                return None
            # It may have come between the two statements, so a second look decides.
            found = work(session) if found is None else found
            if found is None:
                require_account(session, owner)
                raise NotFound("there is no such conversation")
            return Found(found)

        if on_standby := await self._on_standby(owner, read_after, known, slot):
            return on_standby.value
        wanted = [*read_after, conversation_id]
        return await self._until_found(owner, wanted, attempt, slot)

    async def row(self, owner: int, read_after: Sequence[int], query: Query, slot: ReadSlot) -> Row:
        """Return the one row of a query, likewise; it takes a single message to PostgreSQL, mostly.

        The last column of the query is `documents.last_ids`.
        """
        row = await self._first_look(owner, read_after, query, slot)
        if row is None:
            row = await self.after(owner, read_after, lambda db: run(db, query), slot)
        if row is None:
            raise AssertionError("the query has a row whatever it is asked")
        return row

    async def row_of_conversation(
        self,
        owner: int,
        conversation_id: int,
        read_after: Sequence[int],
        query: Query,
        slot: ReadSlot,
    ) -> Row:
        """Return the row of a query about one conversation, likewise."""
        row = await self._first_look(owner, read_after, query, slot)
        if row is not None:
            return row
        return await self.of_conversation(
            owner, conversation_id, read_after, lambda db: run(db, query), slot
        )

    async def _first_look(
        self, owner: int, read_after: Sequence[int], query: Query, slot: ReadSlot
    ) -> Row | None:
        """Return the row if there is one, and it is of a time when nothing was missing."""
        await slot.take()
        if self._standby and (row := await self._standby.ask(owner, read_after, query)):
            return row
        row = await self._database.ask(owner, query)
        if row is None or not reach.includes(row[-1] or (), read_after):
            slot.release()
            return None
        return row

    async def _on_standby(
        self,
        owner: int,
        read_after: Sequence[int],
        work: Callable[[Session], T],
        slot: ReadSlot | None,
    ) -> Found[T] | None:
        if self._standby is None:
            return None
        if slot is not None:
            await slot.take()
        return await self._standby.read(owner, read_after, work)

    async def _until_found(
        self, owner: int, wanted: Sequence[int], attempt: _Attempt[T], slot: ReadSlot | None
    ) -> T:
        pauses = _pauses()
        lost: frozenset[int] | None = None
        while (found := await self._attempt(owner, attempt, lost or frozenset(), slot)) is None:
            if lost is not None:
                raise Unavailable("what was accepted has not reached the database yet")
            if not await self._reached(owner, wanted, pauses, slot):
                lost = await self._lost(owner, wanted)
        return found.value

    async def _reached(
        self, owner: int, wanted: Sequence[int], pauses: Iterator[float], slot: ReadSlot | None
    ) -> bool:
        """Wait; tell whether PostgreSQL has come to all the ids while there were pauses left."""
        for pause in pauses:
            await asyncio.sleep(pause)
            if slot is not None:
                await slot.take()
            row = await self._database.ask(owner, _LAST_IDS)
            if slot is not None:
                slot.release()
            if row is not None and reach.includes(row[0], wanted):
                return True
        return False

    async def _attempt(
        self, owner: int, attempt: _Attempt[T], lost: frozenset[int], slot: ReadSlot | None
    ) -> Found[T] | None:
        if slot is None:
            return await self._database.read(Viewer(owner), lambda db: attempt(db, lost))
        await slot.take()
        found = await self._database.read(Viewer(owner), lambda db: attempt(db, lost))
        if found is None:
            slot.release()
        return found

    async def _lost(self, owner: int, wanted: Sequence[int]) -> frozenset[int]:
        """Return those ids that neither the log nor PostgreSQL has.

        The log is asked first: an entry leaves it only after PostgreSQL has it.
        """
        ours = [entry_id for entry_id in wanted if entry_id >= ids.IMPORTED_BELOW]
        with suppress(Unavailable):
            if absent := await self._absent_from_log(ours):
                return await self._database.read(
                    Viewer(owner), lambda db: PartitionRepository(db).not_reached(absent)
                )
        return frozenset()


def _pauses() -> Iterator[float]:
    """Yield how long to wait, again and again, for WAIT_SECONDS in all."""
    deadline = time.monotonic() + WAIT_SECONDS
    pause = POLL_FIRST_SECONDS
    while time.monotonic() + pause <= deadline:
        yield pause
        pause = min(pause * 1.5, POLL_MOST_SECONDS)
