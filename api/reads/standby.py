"""A hot standby that history is read from, as long as it has what the primary had a second ago.

It is only ever believed in what it finds: what it lacks, what it refuses, and each of its failures
are for the primary to answer.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar
from uuid import UUID

import psycopg2
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, select

from api.core.async_database import THREADS, AsyncDatabase
from api.core.database import Viewer, api_engine
from api.core.errors import Problem, Unavailable, VerbatimError
from api.core.failures import describe
from api.core.models.drain import DatabaseIdentity
from api.core.settings import Settings
from api.core.single_reads import Query, Row
from api.reads import reach
from api.reads.freshness import Freshness
from api.reads.partitions import PartitionRepository

logger = logging.getLogger(__name__)

T = TypeVar("T")
State = Literal["up", "behind", "down", "idle"]

#: A standby that may be older is passed over. People who read take a second for "just now"; a
#: standby in good health is milliseconds behind, and one that is not does not get better soon.
LAG_MOST_SECONDS: Final = 1.0
#: Between two looks at standby and primary.
LOOK_EVERY_SECONDS: Final = 0.2
#: Nobody looks after so long without a read: a serverless PostgreSQL may sleep.
IDLE_SECONDS: Final = 10.0
#: A read that takes longer on the standby is asked of the primary, too.
TIMEOUT_SECONDS: Final = 2.0
#: A primary that takes longer to say how far it is does not answer. It must leave time for a look
#: within LAG_MOST_SECONDS.
PRIMARY_SECONDS: Final = 0.5

#: Whatever goes wrong: a conflict with recovery, a table that is not there yet, a server away.
_FAILURES: Final = (VerbatimError, SQLAlchemyError, psycopg2.Error)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a read has found, which may be None."""

    value: T


class Standby:
    """Answers reads from a standby, or says that the primary must.

    A task looks at both several times a second while there are reads. Without a look the standby is
    taken for old.
    """

    def __init__(self, database: AsyncDatabase, primary: AsyncDatabase) -> None:
        self._database = database
        self._primary = primary
        self._freshness = Freshness()
        self._identity: UUID | None = None
        self._asked_at = -math.inf
        self._looked_at = -math.inf
        self._wanted = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        #: Why it is passed over, since the last look; "": it is not.
        self._reason = "it was not looked at yet"
        self._is_away = False
        #: Reads that it answered, and those that the primary had to.
        self.answered = 0
        self.passed_over = 0

    @property
    def lag_seconds(self) -> float:
        """Return how old what it shows was at most, when it was looked at last; maybe infinite."""
        as_of = self._freshness.as_of
        return math.inf if math.isinf(as_of) else self._looked_at - as_of

    @property
    def state(self) -> State:
        """Return whether reads go to it; idle: there were none lately."""
        if time.monotonic() - self._looked_at > LAG_MOST_SECONDS and self._is_idle():
            return "idle"
        if self._is_away:
            return "down"
        return "up" if self._is_fresh() else "behind"

    def start(self) -> None:
        """Begin to look."""
        self._watch = asyncio.create_task(self._look_again_and_again(), name="standby")

    async def stop(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def ask(self, owner: int, read_after: Sequence[int], query: Query) -> Row | None:
        """Return the first row of a query that is for one user; None: ask the primary.

        The last column of the query is `documents.last_ids`.
        """
        if not self._is_wanted():
            return None
        try:
            row = await self._database.ask(owner, query)
        except _FAILURES as error:
            self._fail(error)
            return None
        if row is None or not reach.includes(row[-1] or (), read_after):
            self.passed_over += 1
            return None
        self.answered += 1
        return row

    async def read(
        self, owner: int, read_after: Sequence[int], work: Callable[[Session], T]
    ) -> Found[T] | None:
        """Return what a query finds for one user; None: ask the primary."""

        def run(session: Session) -> Found[T] | None:
            if read_after:
                last_ids = PartitionRepository(session).last_ids()
                if not reach.includes(last_ids, read_after):
                    return None
            return Found(work(session))

        if not self._is_wanted():
            return None
        try:
            found = await self._database.read(Viewer(owner), run)
        except _FAILURES as error:
            self._fail(error)
            return None
        if found is None:
            self.passed_over += 1
        else:
            self.answered += 1
        return found

    def _is_wanted(self) -> bool:
        self._asked_at = time.monotonic()
        self._wanted.set()
        if self._is_fresh():
            return True
        self.passed_over += 1
        return False

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._freshness.as_of <= LAG_MOST_SECONDS

    def _is_idle(self) -> bool:
        return time.monotonic() - self._asked_at > IDLE_SECONDS

    def _fail(self, error: Exception) -> None:
        self.passed_over += 1
        # What `work` refuses is no failure of the standby.
        if isinstance(error, Unavailable) or not isinstance(error, Problem):
            self._freshness.doubt()

    async def _look_again_and_again(self) -> None:
        while True:
            self._wanted.clear()
            self._tell(await self._look())
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            if self._is_idle():
                await self._wanted.wait()

    async def _look(self) -> str:
        """Compare standby and primary; return why it is passed over, "" if it is not."""
        self._is_away = False
        try:
            identity, standby = await self._database.read(Viewer(), _position)
        except _FAILURES as error:
            self._freshness.doubt()
            self._is_away = True
            return f"it cannot be read: {describe(error)}"
        finally:
            at = self._looked_at = time.monotonic()
        primary = None
        with suppress(TimeoutError, *_FAILURES):
            async with asyncio.timeout(PRIMARY_SECONDS):
                self._identity, primary = await self._primary.read(Viewer(), _position)
        if identity != self._identity:
            self._freshness.forget()
            return "it has another database" if self._identity else "the primary is away"
        if not self._freshness.note(at, standby, primary):
            return "it has what the primary lacks: it does not follow it"
        return "" if self._is_fresh() else f"it lags more than {LAG_MOST_SECONDS:g} s"

    def _tell(self, reason: str) -> None:
        if reason == self._reason:
            return
        self._reason = reason
        if reason:
            logger.warning("READ_DATABASE_URL is passed over: %s", reason)
        else:
            logger.info("history is read from READ_DATABASE_URL")


@asynccontextmanager
async def opened(settings: Settings, primary: AsyncDatabase) -> AsyncIterator[Standby | None]:
    """Yield the standby that the settings name, looked at meanwhile; None where they name none."""
    if settings.read_database is None:
        yield None
        return
    engine = api_engine(settings, settings.read_database, pool_size=THREADS)
    database = AsyncDatabase(engine, timeout_seconds=TIMEOUT_SECONDS)
    standby = Standby(database, primary)
    standby.start()
    try:
        yield standby
    finally:
        await standby.stop()
        database.close()
        engine.dispose()


def _position(session: Session) -> tuple[UUID, Sequence[int]]:
    """Return which database it is, and how far the drain and redrives have come in it."""
    identity = session.exec(select(DatabaseIdentity.id)).one()
    partitions = PartitionRepository(session).all()
    # A redrive changes messages, too, and counts it.
    return identity, [*(p.last_id for p in partitions), *(p.applied for p in partitions)]
