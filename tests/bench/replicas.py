"""What it costs that an answer waits for a replica, which fsyncs before it says that it has it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from redis import Redis

from api.local import data_dir
from api.local.redis import EmbeddedRedis
from api.writes.group_commit import GroupCommit
from tests.bench.figures import Report, say
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import LIMITS, Site, cpu_seconds
from tests.support.servers import running
from tests.support.waiting import eventually

#: Requests that wait at the same time.
WAITERS: Final = (1, 16, 64, 256)
_REPLICAS: Final = {"none": 0, "one": 1}


@dataclass(frozen=True, slots=True)
class _Sample:
    per_second: float
    #: CPU of each message, of this process, the primary and the replica together.
    cpu_ms: float


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Accept with REDIS_REPLICAS=1 and 0 in turn; the replica follows in both."""
    with _replica(at) as replica:
        for waiters in WAITERS:
            say(f"replicas: {waiters} waiters")
            asyncio.run(_sample(at, replica, 0, waiters, scale.warm_up_seconds))
            seen = interleaved(
                list(_REPLICAS),
                scale.rounds,
                lambda name, waiters=waiters: asyncio.run(  # type: ignore[misc]
                    _sample(at, replica, _REPLICAS[name], waiters, scale.seconds)
                ),
            )
            one, none = seen["one"], seen["none"]
            called = f"replicas_{waiters}_one_vs_none"
            report.add(called, "msg/s", *([s.per_second for s in of] for of in (one, none)))
            report.add(f"{called}_cpu", "ms", *([s.cpu_ms for s in of] for of in (one, none)))


@contextmanager
def _replica(at: Site) -> Iterator[EmbeddedRedis]:
    at.client.config_set("repl-diskless-sync-delay", 0)
    with running(EmbeddedRedis(at.directory / "replica")) as server:
        with closing(Redis.from_url(server.url)) as client:
            client.config_set("masterauth", data_dir.secret(at.redis.directory / "password"))
            client.replicaof("127.0.0.1", str(at.redis.port))
            eventually(lambda: client.info("replication")["master_link_status"] == "up")
            eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        yield server


async def _sample(
    at: Site, replica: EmbeddedRedis, replicas: int, waiters: int, seconds: float
) -> _Sample:
    limits = {name: getattr(LIMITS, name) for name in ("log_max_entries", "log_max_bytes")}
    settings = at.settings.model_copy(update={"redis_replicas": replicas, **limits})
    commits = GroupCommit(settings, ring=lambda: None, on_connected=lambda: None)
    commits.database_id = at.log.database_id
    await commits.start()
    done = 0

    async def write(number: int) -> None:
        nonlocal done
        while time.monotonic() < end:
            await commits.submit(at.add_request(number))
            done += 1

    before, began = _cpu_seconds(at, replica), time.monotonic()
    end = began + seconds
    await asyncio.gather(*map(write, range(waiters)))
    took, spent = time.monotonic() - began, _cpu_seconds(at, replica) - before
    await commits.stop()
    at.drain()
    return _Sample(done / took, spent * 1000 / done)


def _cpu_seconds(at: Site, replica: EmbeddedRedis) -> float:
    servers = [server.pid for server in (at.redis, replica) if server.pid]
    return time.process_time() + sum(map(cpu_seconds, servers))
