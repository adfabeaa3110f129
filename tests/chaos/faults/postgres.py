"""The database: it crashes, it is full, others hold its locks and its connections."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import ClassVar, Final

import psycopg2

from tests.chaos.faults.base import Fault
from tests.chaos.site import Site

_WORKERS_BACKENDS: Final = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'verbatim-worker'"
)
_DEADLOCKS: Final = 4


class _PostgresFault(Fault):
    target: ClassVar[str] = "postgres"


class _PostgresSignalled(_PostgresFault):
    number: ClassVar[signal.Signals]

    async def inject(self) -> None:
        self.site.postgres.signal_main(self.number)


class BackendKilled(_PostgresFault):
    """kill -9 of a worker's backend: PostgreSQL resets all of them and recovers."""

    name = "postgres: kill -9 of a backend"

    async def inject(self) -> None:
        backends = await self.site.ask_postgres(_WORKERS_BACKENDS)
        if backends:
            with suppress(ProcessLookupError):
                os.kill(self.rng.choice(backends)[0], signal.SIGKILL)


class PostmasterKilled(_PostgresSignalled):
    """kill -9 of the postmaster."""

    name = "postgres: kill -9 of the postmaster"
    number = signal.SIGKILL


class StoppedImmediately(_PostgresSignalled):
    """The immediate stop: no checkpoint, recovery at the next start."""

    name = "postgres: immediate stop"
    number = signal.SIGQUIT


class PostgresRestarted(_PostgresSignalled):
    """The fast stop, as in every maintenance."""

    name = "postgres: restart"
    number = signal.SIGINT


class ConnectionsUsedUp(_PostgresFault):
    """Somebody else has all connections."""

    name = "postgres: all connections used up"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._held: list[psycopg2.extensions.connection] = []

    async def inject(self) -> None:
        await asyncio.to_thread(self._take_all)
        for node in (*self.site.apis, *self.site.workers):
            node.links["postgres"].drop_all()
        await asyncio.to_thread(self._take_all)

    async def heal(self) -> None:
        for connection in self._held:
            with suppress(psycopg2.Error):
                connection.close()

    def _take_all(self) -> None:
        with suppress(psycopg2.Error):
            while True:
                self._held.append(
                    psycopg2.connect(self.site.postgres_server.url, connect_timeout=2)
                )


class LockHeld(_PostgresFault):
    """Somebody holds a lock that the drain needs: on rows, on a partition, on a table."""

    name = "postgres: a lock is held"
    seconds = 30.0
    brief_seconds = 3.0
    _locks: ClassVar = (
        "SELECT id FROM conversation ORDER BY updated_at DESC LIMIT 5 FOR UPDATE",
        "SELECT id FROM log_partition WHERE id < 4 FOR UPDATE",
        "LOCK TABLE message IN SHARE MODE",
    )

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._connection: psycopg2.extensions.connection | None = None

    async def inject(self) -> None:
        await asyncio.to_thread(self._lock, self.rng.choice(self._locks))

    async def heal(self) -> None:
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()

    def _lock(self, statement: str) -> None:
        with suppress(psycopg2.Error):
            self._connection = psycopg2.connect(self.site.postgres_server.url)
            with self._connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
                cursor.execute(statement)


class Deadlocks(_PostgresFault):
    """Somebody takes the drain's locks in the other order."""

    name = "postgres: deadlocks"

    async def inject(self) -> None:
        for _ in range(_DEADLOCKS):
            await asyncio.to_thread(self._cross)

    def _cross(self) -> None:
        with suppress(psycopg2.Error):
            connection = psycopg2.connect(self.site.postgres_server.url)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SET lock_timeout = '3s'")
                    cursor.execute(
                        "SELECT id FROM conversation ORDER BY updated_at DESC LIMIT 40 FOR UPDATE"
                    )
                    cursor.execute("SELECT pg_sleep(0.05)")
                    cursor.execute("SELECT id FROM log_partition FOR UPDATE")
            finally:
                connection.close()


class PostgresDiskFull(_PostgresFault):
    """No room for the WAL: PostgreSQL ends, and ends again at each start."""

    name = "postgres: disk full"

    @classmethod
    def missing(cls, site: Site) -> str:
        return "" if site.postgres_disk.can_be_filled else "no right to mount a small disk"

    async def inject(self) -> None:
        await asyncio.to_thread(self.site.postgres_disk.fill)

    async def heal(self) -> None:
        self.site.postgres_disk.free()


FAULTS: Final = (
    BackendKilled,
    PostmasterKilled,
    StoppedImmediately,
    PostgresRestarted,
    ConnectionsUsedUp,
    LockHeld,
    Deadlocks,
    PostgresDiskFull,
)
