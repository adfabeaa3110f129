"""Monitoring of one API process: readiness, Prometheus metrics, figures of the status page."""

import asyncio
from typing import Any, Final, Literal

from celery import Celery
from prometheus_client.metrics_core import Metric
from sqlalchemy.engine import URL

from api.core import broker, metrics
from api.core.async_database import AsyncDatabase
from api.core.errors import Unavailable
from api.core.postgres_urls import servers
from api.reads.standby import Standby, State
from api.writes.write_path import WritePath

DatabaseState = Literal["up", "read_only", "down"]
DrainState = Literal["up", "behind", "down"]

PROBE_SECONDS: Final = 1.0
#: An entry this old is not on its way: it waits for somebody.
BEHIND_MS: Final = 30_000
#: PostgreSQL is asked a query only if a request used it in this time: it is awake then.
AWAKE_SECONDS: Final = 60.0
#: PostgreSQL's SSLRequest: any server answers it with one byte before authentication
#: (https://www.postgresql.org/docs/current/protocol-message-formats.html). A query would wake a
#: serverless database at every probe, so that it never sleeps.
_SSL_REQUEST: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class Monitor:
    """Reads the state of the log, of PostgreSQL and of Celery's broker."""

    def __init__(
        self,
        write_path: WritePath,
        database: AsyncDatabase,
        address: URL,
        broker: Celery,
        standby: Standby | None = None,
    ) -> None:
        self._standby = standby
        self._write_path = write_path
        self._database = database
        self._address = address
        self._broker = broker
        self._broker_probe: asyncio.Task[bool] | None = None
        self._was_read_only = False

    @property
    def log_is_open(self) -> bool:
        """Whether writes are accepted: the log answered the last call, and is open."""
        return self._write_path.ready

    @property
    def log_trouble(self) -> str:
        """Why writes are not accepted, where they are not."""
        if self._write_path.lacks_replicas:
            return "too few replicas have what is written to the log"
        return "the log does not answer or is not open"

    async def database_state(self) -> DatabaseState:
        """Return what PostgreSQL can serve, as far as it answers within 1 s.

        One that no request used lately, and that was not read-only then, counts as up if there is
        a server at its address.
        """
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                if not await self._server_answers():
                    return "down"
                if self._was_read_only or self._database.was_used_within(AWAKE_SECONDS):
                    self._was_read_only = await self._database.is_read_only(PROBE_SECONDS)
        except (OSError, TimeoutError, Unavailable):
            return "down"
        return "read_only" if self._was_read_only else "up"

    @property
    def standby_state(self) -> State | None:
        """Whether history is read from the standby; None where there is none."""
        return self._standby.state if self._standby else None

    async def broker_answers(self) -> bool:
        """Return whether the broker answers within 1 s: else no worker hears a doorbell."""
        # A thread that waits for a broker cannot be stopped: who asks meanwhile waits for the same.
        if self._broker_probe is None or self._broker_probe.done():
            self._broker_probe = asyncio.create_task(
                asyncio.to_thread(broker.answers, self._broker), name="broker-probe"
            )
        done, _ = await asyncio.wait({self._broker_probe}, timeout=PROBE_SECONDS)
        return bool(done) and self._broker_probe.result()

    async def drain_state(self) -> tuple[DrainState, int]:
        """Return whether entries are moved into PostgreSQL, and the oldest one's age in ms.

        `down`: no worker is there. `behind`: there are, and yet an entry is older than 30 s.
        Raises Unavailable while Redis does not answer.
        """
        log = self._write_path.async_log
        age_ms = (await log.status()).oldest_age_ms
        if not await log.workers():
            return "down", age_ms
        return "behind" if age_ms > BEHIND_MS else "up", age_ms

    async def close(self) -> None:
        """End a probe that is under way."""
        if self._broker_probe is not None:
            await asyncio.wait({self._broker_probe})
        await asyncio.to_thread(self._broker.close)

    async def _server_answers(self) -> bool:
        """Return whether any of the servers at PostgreSQL's address answers."""
        probes = [
            asyncio.ensure_future(_answers(host, port)) for host, port in servers(self._address)
        ]
        try:
            for probe in asyncio.as_completed(probes):
                if await probe:
                    return True
            return False
        finally:
            for probe in probes:
                probe.cancel()

    async def exposition(self) -> bytes:
        """Return all metrics as text; without those of Redis while it does not answer."""
        own = [
            metrics.broker_family(answers=await self.broker_answers()),
            *metrics.replicas_families(
                self._write_path.replicas, lacking=self._write_path.lacks_replicas
            ),
        ]
        if standby := self._standby:
            own += metrics.standby_families(
                is_used=standby.state == "up",
                lag_seconds=standby.lag_seconds,
                answered=standby.answered,
                passed_over=standby.passed_over,
            )
        try:
            shared = await self._shared()
        except Unavailable:
            shared = []
        return metrics.exposition([*own, *shared])

    async def _shared(self) -> list[Metric]:
        log = self._write_path.async_log
        status, counts = await log.status(), await log.counts()
        ratio = self._write_path.memory_ratio
        return [
            *metrics.log_families(status, ratio),
            *metrics.worker_families(
                await log.workers(),
                went_back=await log.went_back(),
                unbalanced=await log.unbalanced(),
            ),
            *metrics.drain_families(counts),
        ]

    async def figures(self) -> dict[str, Any]:
        """Return the status page's figures. Raises Unavailable while Redis does not answer."""
        log = await self._write_path.async_log.status()
        counts = await self._write_path.async_log.counts()
        return {
            "at_ms": log.now_ms,
            "is_open": self.log_is_open,
            "accepted": sum(partition.accepted or 0 for partition in log.partitions),
            "backlog": {
                "entries": log.entries,
                "bytes": sum(partition.bytes for partition in log.partitions),
                "oldest_ms": log.oldest_age_ms,
                "partitions": [partition.entries for partition in log.partitions],
            },
            "redis_memory_ratio": self._write_path.memory_ratio,
            "drained": {name: counts.get(name, 0) for name in metrics.DRAINED},
            "lag": metrics.lag_buckets(counts),
        }


async def _answers(host: str, port: int) -> bool:
    """Return whether a PostgreSQL answers at an address, or at the folder of its socket."""
    try:
        if host.startswith("/"):
            reader, writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(_SSL_REQUEST)
        return await reader.read(1) in {b"S", b"N"}
    except OSError:
        return False
    finally:
        writer.close()
