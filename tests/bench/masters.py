"""What the log costs on a cluster of one master or three, next to a server that is no cluster."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from redis import Redis

from api.core import database
from api.core.bind import open_log
from api.core.log import Log
from api.core.redis_client import connect
from api.core.settings import Settings
from api.local.redis import EmbeddedRedis
from api.writes.async_log import AsyncLog
from api.writes.async_servers import AsyncFollowedServers
from api.writes.group_commit import GroupCommit
from api.writes.master_commits import Commits, MasterCommits
from tests.bench.figures import Report, say
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import LIMITS, Site, cpu_seconds
from tests.support.redis_cluster import running_cluster
from tests.support.servers import running

#: Requests that wait at the same time.
WAITERS: Final = (16, 64, 256)
#: Masters of the clusters.
_MASTERS: Final = (1, 3)
_ALONE: Final = "alone"


@dataclass(frozen=True, slots=True)
class _Log:
    """A log of its own, and the servers that hold it."""

    settings: Settings
    database_id: str
    servers: Sequence[EmbeddedRedis]


@dataclass(frozen=True, slots=True)
class _Sample:
    per_second: float
    #: CPU of each message, of this process and of the servers.
    here_ms: float
    servers_ms: float


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Accept into each log in turn. Nothing is drained: it is the call that differs."""
    with _logs(at) as logs:
        for waiters in WAITERS:
            say(f"masters: {waiters} waiters")
            for log in logs.values():
                asyncio.run(_sample(at, log, waiters, scale.warm_up_seconds))
            seen = interleaved(
                list(logs),
                scale.rounds,
                lambda name, waiters=waiters: asyncio.run(  # type: ignore[misc]
                    _sample(at, logs[name], waiters, scale.seconds)
                ),
            )
            alone = seen.pop(_ALONE)
            for name, samples in seen.items():
                called = f"masters_{waiters}_{name}_vs_{_ALONE}"
                pair = samples, alone
                report.add(called, "msg/s", *([s.per_second for s in of] for of in pair))
                report.add(
                    f"{called}_cpu", "ms", *([s.here_ms + s.servers_ms for s in of] for of in pair)
                )
                report.add(f"{called}_cpu_api", "ms", *([s.here_ms for s in of] for of in pair))
                report.add(
                    f"{called}_cpu_redis", "ms", *([s.servers_ms for s in of] for of in pair)
                )


@contextmanager
def _logs(at: Site) -> Iterator[dict[str, _Log]]:
    with ExitStack() as stack:
        alone = stack.enter_context(running(EmbeddedRedis(at.directory / _ALONE)))
        logs = {_ALONE: _opened(at, alone.url, [alone])}
        for masters in _MASTERS:
            directory = at.directory / f"masters-{masters}"
            cluster = stack.enter_context(running_cluster(directory, masters))
            logs[str(masters)] = _opened(at, cluster.url, cluster.masters)
        yield logs


def _opened(at: Site, url: str, servers: Sequence[EmbeddedRedis]) -> _Log:
    for server in servers:
        with Redis.from_url(server.url) as client:
            client.config_set("maxmemory", 0)
    limits = {name: getattr(LIMITS, name) for name in ("log_max_entries", "log_max_bytes")}
    settings = at.settings.model_copy(update={"redis_url": url, **limits})
    log = Log(connect(settings, "bench"), settings.log_namespace)
    engine = database.make_engine(settings.worker_database, application_name="bench")
    open_log(log, engine)
    engine.dispose()
    return _Log(settings, log.database_id, servers)


async def _sample(at: Site, log: _Log, waiters: int, seconds: float) -> _Sample:
    pool = AsyncLog.pool(log.settings, "bench")
    commits = _commits(log.settings, pool)
    commits.database_id = log.database_id
    await commits.start()
    done = 0

    async def write(number: int) -> None:
        nonlocal done
        sent = number
        while time.monotonic() < end:
            await commits.submit(at.add_request(sent))
            done, sent = done + 1, sent + waiters + 1

    here, there, began = time.process_time(), _servers_seconds(log), time.monotonic()
    end = began + seconds
    await asyncio.gather(*map(write, range(waiters)))
    took = time.monotonic() - began
    here, there = time.process_time() - here, _servers_seconds(log) - there
    await commits.stop()
    await pool.close()
    return _Sample(done / took, here * 1000 / done, there * 1000 / done)


def _commits(settings: Settings, pool: AsyncLog) -> Commits:
    def nothing() -> None:
        """Ring no bell: nobody drains."""

    if isinstance(pool.servers, AsyncFollowedServers):
        return MasterCommits(settings, pool.servers, ring=nothing, on_connected=nothing)
    return GroupCommit(settings, ring=nothing, on_connected=nothing)


def _servers_seconds(log: _Log) -> float:
    return sum(cpu_seconds(server.pid) for server in log.servers if server.pid)
