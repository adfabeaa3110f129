"""READ: queries in threads of their own, which wait for what was accepted but not yet drained.

Each names the user it is for, and PostgreSQL shows it no row of anybody else.

A reader waits without a connection: it asks, and if PostgreSQL is not there yet lets go and asks
again a little later.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sqlalchemy import Engine
from sqlmodel import Session

from api.core import ids
from api.core.database import Viewer, reading, writing
from api.core.errors import BadRequest, NotFound, Unavailable
from api.reads.repositories import PartitionRepository

T = TypeVar("T")

#: Threads that read, each with a connection of its own.
CONNECTIONS: Final = 10
#: Reads inside one process; one more is refused.
ROOM: Final = 400
#: Longest time a query may take, its way through the waiting room included.
QUERY_SECONDS: Final = 10.0
#: How long a read waits for the drain.
PATIENCE_SECONDS: Final = 2.0
POLL_FIRST_SECONDS: Final = 0.005
POLL_MOST_SECONDS: Final = 0.05
#: A `read_after` this far ahead of every clock was never given out.
FUTURE_MS: Final = 5_000
#: A conversation's id this far ahead was never given out; generous, because answering 404 for
#: a conversation that was accepted would be worse than two seconds of patience.
FAR_FUTURE_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class _Found(Generic[T]):
    value: T


class Reads:
    """Runs queries on PostgreSQL for coroutines."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="reads")
        self._inside = 0

    async def query(self, owner: int, work: Callable[[Session], T]) -> T:
        """Run a query at once. Raises Unavailable when PostgreSQL cannot be reached."""

        def run() -> T:
            with reading(self._engine, Viewer(owner)) as session:
                return work(session)

        return await self._in_thread(run)

    async def write(
        self, owner: int, work: Callable[[Session], T], *, seconds: float | None = None
    ) -> T:
        """Run one transaction: only accounts are written outside the drain.

        One that may take long says how many seconds that is.
        """

        def run() -> T:
            with writing(self._engine, Viewer(owner)) as session:
                return work(session)

        return await self._in_thread(run, seconds)

    async def sign_in(self, username: str, work: Callable[[Session], T]) -> T:
        """Run a query about the account of that name, whose id is not known yet."""

        def run() -> T:
            with reading(self._engine, Viewer(signing_in=username)) as session:
                return work(session)

        return await self._in_thread(run)

    async def register(self, username: str, work: Callable[[Session], T]) -> T:
        """Run the transaction that makes the account of that name."""

        def run() -> T:
            with writing(self._engine, Viewer(signing_in=username)) as session:
                return work(session)

        return await self._in_thread(run)

    async def after(self, owner: int, read_after: Sequence[int], work: Callable[[Session], T]) -> T:
        """Run a query once every entry up to the given ids is in PostgreSQL.

        Raises BadRequest for an id from the future, Unavailable when the drain takes too long.
        """
        return await self._patiently(
            owner, lambda session: _Found(work(session)) if _passed(session, read_after) else None
        )

    async def of_conversation(
        self,
        owner: int,
        conversation_id: int,
        read_after: Sequence[int],
        work: Callable[[Session], T | None],
    ) -> T:
        """Run a query about one conversation, likewise; None means that there is no such one.

        Raises NotFound only where PostgreSQL has caught up with the conversation's id: before
        that it may have been accepted a moment ago.
        """

        def attempt(session: Session) -> _Found[T] | None:
            if not _passed(session, read_after):
                return None
            found = work(session)
            if found is None and _may_come(session, conversation_id):
                return None
            # It may have come between the two statements, so a second look decides.
            found = work(session) if found is None else found
            if found is None:
                raise NotFound("there is no such conversation")
            return _Found(found)

        return await self._patiently(owner, attempt)

    def close(self) -> None:
        """Let running queries finish and start no more."""
        self._threads.shutdown(cancel_futures=True)

    async def _patiently(self, owner: int, attempt: Callable[[Session], _Found[T] | None]) -> T:
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        pause = POLL_FIRST_SECONDS
        while (found := await self.query(owner, attempt)) is None:
            if time.monotonic() + pause > patience_ends:
                raise Unavailable("what was accepted has not reached the database yet")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_MOST_SECONDS)
        return found.value

    async def _in_thread(self, run: Callable[[], T], seconds: float | None = None) -> T:
        if self._inside >= ROOM:
            raise Unavailable("too many requests wait for the database")
        self._inside += 1
        try:
            async with asyncio.timeout(seconds or QUERY_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except TimeoutError as error:
            raise Unavailable("the database does not answer") from error
        finally:
            self._inside -= 1


def _passed(session: Session, read_after: Sequence[int]) -> bool:
    """Tell whether PostgreSQL has reached all the given ids, one per partition."""
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
