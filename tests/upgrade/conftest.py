"""Processes of this version, and of the one that wrote entries of format 1, on one log."""

import secrets
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis import Redis
from sqlalchemy import Engine

from api.core.log import Log
from api.core.settings import Settings
from tests.drain.processes import WorkerProcess
from tests.support.api_process import ApiProcess

#: See tests/data/README.md.
FORMAT_1 = Path(__file__).parents[1] / "data" / "format-1.tar.xz"


@dataclass(frozen=True)
class Site:
    """One database and one log, and what starts processes on them."""

    engine: Engine
    log: Log
    client: httpx.Client
    start_apis: Callable[..., list[ApiProcess]]
    start_worker: Callable[[Path | None], WorkerProcess]


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the code of before."""
    folder = tmp_path_factory.mktemp("format-1")
    with tarfile.open(FORMAT_1) as archive:
        archive.extractall(folder, filter="data")
    # Its pages are left out.
    (folder / "api" / "web").mkdir()
    return folder


@pytest.fixture
def site(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    namespace: str,
    engine: Engine,
    tmp_path: Path,
) -> Iterator[Site]:
    """A migrated database and an empty log; whatever was started is ended."""
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "LOG_NAMESPACE": namespace,
        "SECRET_KEY": secrets.token_hex(32),
        "ROW_SECURITY": "unchecked",  # one role, the owner's, for all
    }
    settings = Settings(
        _env_file=None, database_url=database_url, redis_url=redis_url, log_namespace=namespace
    )
    apis: list[ApiProcess] = []
    workers: list[WorkerProcess] = []

    def start_apis(*codes: Path | None) -> list[ApiProcess]:
        apis.extend(ApiProcess(environment, code) for code in codes)
        with ThreadPoolExecutor() as pool:
            list(pool.map(ApiProcess.start, apis))
        return apis

    def start_worker(code: Path | None) -> WorkerProcess:
        log = tmp_path / f"worker{len(workers)}.log"
        workers.append(WorkerProcess(settings, log, code=code))
        return workers[-1].wait_until_ready()

    with httpx.Client(timeout=60) as client:
        yield Site(engine, Log(redis_client, namespace), client, start_apis, start_worker)
    for worker in workers:
        worker.end()
    for api in apis:
        api.terminate()
