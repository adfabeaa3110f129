"""A real Prometheus watches a running stack: each fault fires its alerts within a minute."""

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2
import pytest
from redis import Redis

from api.core.log import Log
from api.core.settings import Settings
from api.local import data_dir, discover
from api.local.redis import EmbeddedRedis
from tests.support.scale import FULL
from tests.support.servers import running
from tests.support.stacks import RunningStack, running_stack
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FULL, reason="it waits for minutes; FULL=1 does"),
    pytest.mark.timeout(3600),
]

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"
FIRES_SECONDS = 60
#: An increase is seen for five minutes.
CLEARS_SECONDS = 420


class Watched:
    """A stack with a broker of its own, somebody who writes to it, and a Prometheus."""

    def __init__(self, stack: RunningStack, broker: EmbeddedRedis, prometheus: int) -> None:
        self.stack = stack
        self.broker = broker
        self._prometheus = f"http://127.0.0.1:{prometheus}/api/v1/alerts"
        found = discover.completed(Settings(verbatim_data_dir=stack.data))
        self.database = str(found.database_direct_url)
        self.redis: Redis = Redis.from_url(found.redis)
        self.log = Log(self.redis, found.log_namespace)
        self.says = "good morning"

    def firing(self) -> set[str]:
        alerts = httpx.get(self._prometheus).json()["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write a message ten times a second, whatever becomes of it."""
        person = {"username": "ada", "password": "correct horse battery"}
        self.stack.post("/auth/register", person | {"email": "ada@example.com"})
        token = self.stack.post("/auth/login", person)["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        base = f"http://127.0.0.1:{self.stack.port}"
        done = threading.Event()

        def write() -> None:
            with httpx.Client(base_url=base, headers=headers, timeout=5) as client:
                opened = eventually(lambda: self._opened(client))
                while not done.wait(0.1):
                    body = {"role": "user", "content": self.says}
                    with suppress(httpx.HTTPError):
                        client.post(f"/api/conversations/{opened}/messages", json=body)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            # Something of it is in PostgreSQL.
            eventually(lambda: self.log.counts().get("committed", 0) > 5)
            yield
        finally:
            done.set()
            thread.join()

    @staticmethod
    def _opened(client: httpx.Client) -> int | None:
        answer = client.post("/api/conversations/", json={})
        return int(answer.json()["id"]) if answer.is_success else None


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with (
        running(EmbeddedRedis(folder / "broker")) as broker,
        running_stack(folder / "data", CELERY_BROKER_URL=broker.url) as stack,
        prometheus(folder, stack.port) as port,
    ):
        seen = Watched(stack, broker, port)
        with seen.writing():
            eventually(lambda: not seen.firing())
            yield seen


@contextmanager
def prometheus(folder: Path, target: int) -> Iterator[int]:
    """Run the Prometheus of deploy/prometheus on a stack; yield its port."""
    program = shutil.which("prometheus")
    assert program, "there is no prometheus: `make system-deps` installs Debian's"
    shutil.copy(RULES / "verbatim.rules.yml", folder)
    (folder / "metrics-token").write_text("none is needed on loopback")
    given = (RULES / "prometheus.yml").read_text()
    assert "api:8000" in given
    file = folder / "prometheus.yml"
    file.write_text(given.replace("api:8000", f"127.0.0.1:{target}"))
    port = data_dir.free_port()
    options = (f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={folder}/series")
    with subprocess.Popen(
        [program, f"--config.file={file}", *options], stderr=subprocess.DEVNULL
    ) as process:
        try:
            eventually(lambda: is_ready(port))
            yield port
        finally:
            process.terminate()


def is_ready(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200
    return False


@contextmanager
def frozen(watched: Watched, name: str) -> Iterator[None]:
    """Stop a process of the stack, and those it started."""
    process = psutil.Process(watched.stack.pid_of(name))
    processes = [process, *process.children(recursive=True)]
    for one in processes:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in processes:
            one.send_signal(signal.SIGCONT)


@contextmanager
def broker_away(watched: Watched) -> Iterator[None]:
    watched.broker.stop()
    try:
        yield
    finally:
        watched.broker.start()


@contextmanager
def poison(watched: Watched) -> Iterator[None]:
    """Have PostgreSQL refuse what is written."""
    constraint = "CONSTRAINT no_poison CHECK (content <> 'poison') NOT VALID"
    administer(watched, f"ALTER TABLE message ADD {constraint}")
    watched.says = "poison"
    try:
        yield
    finally:
        watched.says = "good morning"
        administer(watched, "ALTER TABLE message DROP CONSTRAINT no_poison")


def administer(watched: Watched, statement: str) -> None:
    connection = psycopg2.connect(watched.database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


@contextmanager
def memory_is_short(watched: Watched) -> Iterator[None]:
    info: Any = watched.redis.info("memory")
    watched.redis.config_set("maxmemory", int(info["used_memory"] * 1.1))
    try:
        yield
    finally:
        watched.redis.config_set("maxmemory", "1gb")


@contextmanager
def redis_is_slow(watched: Watched) -> Iterator[None]:
    done = threading.Event()

    def pause() -> None:
        while not done.wait(0.6):
            watched.redis.client_pause(400, all=False)

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def log_is_lost(watched: Watched) -> Iterator[None]:
    watched.redis.flushall()
    yield
    watched.log.acknowledge_going_back()


@contextmanager
def entry_is_lost(watched: Watched) -> Iterator[None]:
    """Take an entry out of the log before a worker comes to it; in the end, out of the books."""
    with frozen(watched, "worker"):
        (head,) = eventually(watched.log.heads)
        # Not the first one: a batch that was under way may have read it.
        eventually(lambda: watched.log.heads()[0].entries > head.entries)
        stream = watched.log.key(head.partition, "log")
        newest: Any = watched.redis.xrevrange(stream, count=1)
        watched.redis.xdel(stream, newest[0][0])
    yield
    watched.redis.decr(watched.log.key(head.partition, "accepted"))


FAULTS: dict[str, tuple[Callable[[Watched], AbstractContextManager[None]], set[str]]] = {
    "no worker": (
        lambda watched: frozen(watched, "worker"),
        {"VerbatimWorkerGone", "VerbatimNothingDrains", "VerbatimBacklogOld"},
    ),
    "no broker": (broker_away, {"VerbatimBrokerDown"}),
    "no redis": (lambda watched: frozen(watched, "redis"), {"VerbatimLogSilent"}),
    "no api": (lambda watched: frozen(watched, "api"), {"VerbatimApiGone"}),
    "slow redis": (redis_is_slow, {"VerbatimLogSlow"}),
    "full redis": (memory_is_short, {"VerbatimRedisFull", "VerbatimRefusing"}),
    "lost log": (log_is_lost, {"VerbatimUnbalanced"}),
    "lost entry": (entry_is_lost, {"VerbatimUnbalanced"}),
    "poison": (poison, {"VerbatimDeadLetters"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fires_its_alerts_within_a_minute_and_they_clear(
    watched: Watched, name: str
) -> None:
    make, alerts = FAULTS[name]

    with make(watched):
        eventually(
            lambda: alerts <= watched.firing(),
            within_seconds=FIRES_SECONDS,
            otherwise=watched.firing,
        )

    eventually(
        lambda: not watched.firing(), within_seconds=CLEARS_SECONDS, otherwise=watched.firing
    )
