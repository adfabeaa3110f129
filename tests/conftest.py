"""The fixtures every test may ask for. Servers are real, and shared until a test says otherwise."""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import hypothesis
import pytest
from redis import Redis
from sqlalchemy import Engine

from api.core import database
from api.core.settings import postgres_url
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.support.fast import is_fast, refuse_processes
from tests.support.processes import measure_no_process
from tests.support.scale import FULL
from tests.support.servers import QuickPostgres, drop_database, fresh_database, running

# The same examples each time; FULL=1 looks for new ones.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
hypothesis.settings.load_profile("default" if FULL else "gate")

# The tests keep all cores busy: at the lowest priority no password would ever be checked.
os.environ.setdefault("PASSWORD_PRIORITY", "normal")

# A shell ignores SIGINT in what it runs in the background; what the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="run only tests that start no process")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    measure_no_process()
    # Files that start processes first: a long one that comes last would leave the others waiting.
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    if config.getoption("fast"):
        slow = [item for item in items if not is_fast(item)]
        items[:] = [item for item in items if is_fast(item)]
        config.hook.pytest_deselected(items=slow)
        refuse_processes()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of the whole run. Do not stop it: `start_postgres` gives you your own."""
    with running(QuickPostgres(tmp_path_factory.mktemp("postgres"))) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """The Redis of the whole run. Do not stop it: `start_redis` gives you your own."""
    with running(EmbeddedRedis(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture(scope="module")
def start_postgres(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[], EmbeddedPostgres]]:
    """Start a PostgreSQL of the module's own, to be killed and started again at will."""
    with ExitStack() as servers:
        yield lambda: servers.enter_context(
            running(QuickPostgres(tmp_path_factory.mktemp("own-postgres")))
        )


@pytest.fixture(scope="module")
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], EmbeddedRedis]]:
    """Start a Redis of the module's own, to be killed and started again at will."""
    with ExitStack() as servers:
        yield lambda: servers.enter_context(
            running(EmbeddedRedis(tmp_path_factory.mktemp("own-redis")))
        )


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    url = fresh_database(postgres_server)
    yield url
    drop_database(postgres_server, url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = database.make_engine(postgres_url(database_url), application_name="verbatim-test")
    yield opened
    opened.dispose()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """The shared Redis, emptied, all its databases."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def namespace() -> str:
    """A LOG_NAMESPACE of the test's own."""
    return f"test-{secrets.token_hex(4)}"
