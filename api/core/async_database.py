"""PostgreSQL for coroutines: each transaction runs in a thread, with a connection of its own.

Every transaction names the user it is for, and PostgreSQL shows it no row of anyone else.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from sqlalchemy import Engine, text
from sqlmodel import Session

from api.core import single_reads
from api.core.database import Viewer, reading, writing
from api.core.errors import Unavailable

T = TypeVar("T")

#: Threads, each with a connection of its own.
THREADS: Final = 10
#: Transactions waiting or running in one process; one more is refused.
IN_FLIGHT_MOST: Final = 400
#: Longest time of a transaction, the wait for a thread included, unless told otherwise.
TIMEOUT_SECONDS: Final = 10.0
#: A standby, as a primary is after a failover, or made so by its operator.
_IS_READ_ONLY: Final = text(
    "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"
)


class AsyncDatabase:
    """Runs one process's transactions in a bounded pool of threads.

    Its methods raise Unavailable when PostgreSQL cannot be reached, does not answer in time, or
    when IN_FLIGHT_MOST transactions are in flight already. A `work` gets an open session and must
    be complete when it returns; the `viewer` is made anew for each transaction.
    """

    def __init__(self, engine: Engine, *, timeout_seconds: float | None = None) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
        self._in_flight = 0
        self._used_at: float | None = None

    def note_use(self) -> None:
        """Note that this process used PostgreSQL just now."""
        self._used_at = time.monotonic()

    def was_used_within(self, seconds: float) -> bool:
        """Return whether this process used PostgreSQL in this time, so that it is awake."""
        return self._used_at is not None and time.monotonic() - self._used_at < seconds

    async def is_read_only(self, timeout_seconds: float) -> bool:
        """Ask PostgreSQL whether it refuses writes; does not count as a use.

        If so, all connections are replaced: their address may lead to the new primary by now.
        """

        def run() -> bool:
            with reading(self._engine, Viewer()) as session:
                return bool(session.connection().scalar(_IS_READ_ONLY))

        if not await self._in_thread(run, timeout_seconds):
            return False
        self._engine.dispose()
        return True

    async def read(self, viewer: Viewer, work: Callable[[Session], T]) -> T:
        """Run `work` in a READ ONLY transaction and return its result."""

        def run() -> T:
            with reading(self._engine, viewer) as session:
                return work(session)

        self.note_use()
        return await self._in_thread(run)

    async def ask(self, user_id: int, query: single_reads.Query) -> single_reads.Row | None:
        """Return the first row of a query that is for one user; None for no row."""
        self.note_use()
        return await self._in_thread(lambda: single_reads.ask(self._engine, user_id, query))

    async def write(
        self, viewer: Viewer, work: Callable[[Session], T], *, timeout_seconds: float | None = None
    ) -> T:
        """Run `work` in one transaction, commit it, and return its result.

        Only accounts are written outside the drain. After a timeout (the database's own unless
        given) the transaction may still commit.
        """

        def run() -> T:
            with writing(self._engine, viewer) as session:
                return work(session)

        self.note_use()
        return await self._in_thread(run, timeout_seconds)

    def close(self) -> None:
        """Let running transactions finish and start no more."""
        self._threads.shutdown(cancel_futures=True)

    async def _in_thread(self, run: Callable[[], T], timeout_seconds: float | None = None) -> T:
        if self._in_flight >= IN_FLIGHT_MOST:
            raise Unavailable("too many requests wait for the database")
        self._in_flight += 1
        try:
            async with asyncio.timeout(timeout_seconds or self._timeout_seconds or TIMEOUT_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except TimeoutError as error:
            raise Unavailable("the database does not answer") from error
        finally:
            self._in_flight -= 1
