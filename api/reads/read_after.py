"""Reads that wait for what was accepted and is not drained yet (`read_after`).

A waiting read holds no connection: it asks, and if PostgreSQL is not there yet, lets go and asks
again a little later. One that has waited in vain asks the log whether it waits for anything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sqlmodel import Session

from api.core import ids
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import BadRequest, Gone, NotFound, Unavailable
from api.reads.owners import require_account
from api.reads.partitions import PartitionRepository
from api.reads.slots import ReadSlot

T = TypeVar("T")
#: Which of these ids the log does not hold, and will not give out any more (`AsyncLog.absent`).
AbsentFromLog = Callable[[Iterable[int]], Awaitable[frozenset[int]]]

#: How long a read waits for the drain.
WAIT_SECONDS: Final = 2.0
POLL_FIRST_SECONDS: Final = 0.005
POLL_MOST_SECONDS: Final = 0.05
#: A `read_after` this far ahead of every clock was never given out.
FUTURE_MS: Final = 5_000
#: A conversation's id this far ahead was never given out; generous, because answering 404 for
#: a conversation that was accepted would be worse than a wait of two seconds.
FAR_FUTURE_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class _Found(Generic[T]):
    value: T


#: What is tried again and again, given the ids that are known to be lost; None: not yet.
_Attempt = Callable[[Session, frozenset[int]], _Found[T] | None]


class Reads:
    """Queries of one user's chat data, once PostgreSQL has what the reader may expect."""

    def __init__(self, database: AsyncDatabase, absent_from_log: AbsentFromLog) -> None:
        self._database = database
        self._absent_from_log = absent_from_log

    async def after(
        self,
        owner: int,
        read_after: Sequence[int],
        work: Callable[[Session], T],
        slot: ReadSlot | None = None,
    ) -> T:
        """Run a query once every entry up to the given ids is in PostgreSQL.

        The `slot` is held while PostgreSQL is asked, and stays so with what was found. Raises
        BadRequest for an id from the future, Unavailable when the drain takes too long, Gone when
        an id was lost, TooMany when the slot is not free in time.
        """

        def attempt(session: Session, lost: frozenset[int]) -> _Found[T] | None:
            return _Found(work(session)) if _passed(session, read_after, lost) else None

        return await self._until_found(owner, read_after, attempt, slot)

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

        def attempt(session: Session, lost: frozenset[int]) -> _Found[T] | None:
            if not _passed(session, read_after, lost):
                return None
            found = work(session)
            is_lost = conversation_id in lost
            if found is None and not is_lost and _may_come(session, conversation_id):
                return None
            # It may have come between the two statements, so a second look decides.
            found = work(session) if found is None else found
            if found is None:
                require_account(session, owner)
                raise NotFound("there is no such conversation")
            return _Found(found)

        wanted = [*read_after, conversation_id]
        return await self._until_found(owner, wanted, attempt, slot)

    async def _until_found(
        self, owner: int, wanted: Sequence[int], attempt: _Attempt[T], slot: ReadSlot | None
    ) -> T:
        deadline = time.monotonic() + WAIT_SECONDS
        pause = POLL_FIRST_SECONDS
        lost: frozenset[int] | None = None
        while (found := await self._attempt(owner, attempt, lost or frozenset(), slot)) is None:
            if lost is not None:
                raise Unavailable("what was accepted has not reached the database yet")
            if time.monotonic() + pause > deadline:
                lost = await self._lost(owner, wanted)
                continue  # to the last attempt
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_MOST_SECONDS)
        return found.value

    async def _attempt(
        self, owner: int, attempt: _Attempt[T], lost: frozenset[int], slot: ReadSlot | None
    ) -> _Found[T] | None:
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


def _passed(session: Session, read_after: Sequence[int], lost: frozenset[int]) -> bool:
    """Tell whether PostgreSQL has reached all the given ids, one per partition.

    Raises Gone where it has not, and never will.
    """
    wanted: dict[int, int] = {}
    for entry_id in read_after:
        if entry_id >= ids.IMPORTED_BELOW:
            partition = ids.partition_of(entry_id)
            wanted[partition] = max(entry_id, wanted.get(partition, 0))
    partitions = PartitionRepository(session)
    missing = [
        (entry_id, last_id)
        for partition, entry_id in wanted.items()
        if (last_id := partitions.last_id(partition)) < entry_id
    ]
    if any(_ahead_ms(entry_id, last_id) > FUTURE_MS for entry_id, last_id in missing):
        raise BadRequest("read_after lies in the future")
    if any(entry_id in lost for entry_id, _ in missing):
        raise Gone("the write that read_after names was lost; it will not come")
    return not missing


def _may_come(session: Session, conversation_id: int) -> bool:
    """Tell whether an unknown conversation may have been accepted and not drained yet."""
    if conversation_id < ids.IMPORTED_BELOW:
        return False
    last_id = PartitionRepository(session).last_id(ids.partition_of(conversation_id))
    return conversation_id > last_id and _ahead_ms(conversation_id, last_id) <= FAR_FUTURE_MS


def _ahead_ms(entry_id: int, last_id: int) -> float:
    """Return how far an id is ahead of both this clock and what its partition has reached.

    A log whose clock once ran ahead goes on from there, so this clock alone proves nothing.
    """
    return ids.unix_ms_of(entry_id) - max(time.time() * 1000, ids.unix_ms_of(last_id))
