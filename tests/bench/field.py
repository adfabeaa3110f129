"""The contestants' servers with what each of them needs, and what one sample takes."""

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from tests.bench.figures import say
from tests.bench.inserts import BATCHED_QUEUE, QUEUE
from tests.bench.load import BODY, LoadError, Open, closed_loop, message_path, open_loop
from tests.bench.processes import (
    BATCHES_PYTHON,
    TWO_PROCESSES,
    Running,
    Server,
    servers,
    worker,
)
from tests.bench.site import Site, cpu_seconds, stored

_SETTLE_SECONDS: Final = 60.0
#: Those whose messages go through the log.
_OURS: Final = ("verbatim", TWO_PROCESSES)
#: What differs between two answers to the same request.
_OWN: Final = ("id", "created_at")
#: Where a message is worked on before its answer, and the rest.
_BEFORE: Final = ("api", "redis")
PARTS: Final = (*_BEFORE, "worker", "postgres")


@dataclass(frozen=True, slots=True)
class Accepted:
    """One sample of throughput, and the CPU time of a message by who spent it (PARTS)."""

    per_second: float
    cpu_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Field:
    """The contestants' servers, and the workers behind them."""

    at: Site
    servers: dict[str, Server]
    workers: dict[str, Running]
    broker: Redis

    def settle(self, name: str) -> None:
        """See that nothing of what a contestant left to do runs into the next one's time."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        # One task per message takes minutes for what was sent in seconds; it is thrown away.
        self.broker.delete(QUEUE, BATCHED_QUEUE)
        while self._busy(name):
            if time.monotonic() > deadline:
                raise LoadError(f"{name} does not keep up")
        time.sleep(0.3)

    def _busy(self, name: str) -> bool:
        """Look for a moment whether a contestant still stores what it has acknowledged."""
        if name == "background":
            rows = self._stored()
            time.sleep(0.2)
            return self._stored() > rows
        time.sleep(0.02)
        return name in _OURS and self.at.backlog() > 0

    def throughput(self, name: str, connections: int, seconds: int) -> Accepted:
        """Accept messages from so many connections.

        What comes after the answer is shared among the messages that were stored: a queue of tasks
        is thrown away, and with it what its worker did not come to.
        """
        paths = [(message_path(seat), seat.token) for seat in self.at.seats]
        rows, before = self._stored(), self._cpu_seconds(name)
        seen = closed_loop(self.servers[name].url, paths, connections, seconds)
        self.settle(name)
        after = self._cpu_seconds(name)
        behind = self._stored() - rows if name in ("celery", "batches") else seen.requests
        messages = {part: seen.requests if part in _BEFORE else max(behind, 1) for part in PARTS}
        cpu_ms = {part: (after[part] - before[part]) * 1000 / messages[part] for part in PARTS}
        return Accepted(seen.per_second, cpu_ms)

    def latency(self, name: str, rate: int, seconds: int) -> Open:
        """Times to the answer at a constant rate."""
        seen = self.latency_unsettled(name, rate, seconds)
        self.settle(name)
        return seen

    def latency_unsettled(self, name: str, rate: int, seconds: int) -> Open:
        """Return the same, and leave a backlog where PostgreSQL is to blame for it."""
        return open_loop(self.servers[name].url, self.at.seats, rate, seconds)

    def _stored(self) -> int:
        with self.at.connection() as connection:
            return stored(connection)

    def _cpu_seconds(self, name: str) -> dict[str, float]:
        worker = self.workers.get(name)
        return {
            "api": self.servers[name].cpu_seconds(),
            "redis": cpu_seconds(self.at.redis.pid or 0),
            "worker": worker.cpu_seconds() if worker else 0.0,
            "postgres": self.at.postgres_cpu_seconds(),
        }


@contextmanager
def field(
    at: Site, contestants: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Field]:
    """Run these contestants and what they need."""
    env = dict(environment or at.environment)
    with ExitStack() as stack:
        workers: dict[str, Running] = {}
        if ours := [name for name in contestants if name in _OURS]:
            drain = worker("workers.app", env, at.directory, options=["--task-events"])
            workers |= dict.fromkeys(ours, stack.enter_context(drain))
        if "celery" in contestants:
            rival = worker("tests.bench.celery_rival", env, at.directory)
            workers["celery"] = stack.enter_context(rival)
        if "batches" in contestants:
            batches = worker("tests.bench.batches_rival", env, at.directory, python=BATCHES_PYTHON)
            workers["batches"] = stack.enter_context(batches)
        running = stack.enter_context(servers(contestants, env, at.directory))
        broker = stack.enter_context(Redis.from_url(env["BENCH_BROKER_URL"]))
        yield Field(at, running, workers, broker)


def assert_equal_answers(contest: Field) -> None:
    """Ask everybody the same and compare what they say, ids aside."""
    say("comparing answers")
    answers = {name: _ask(server, contest) for name, server in contest.servers.items()}
    first = next(iter(answers.values()))
    for name, answer in answers.items():
        if answer != first:
            raise AssertionError(f"{name} answers {answer}, not {first}")
    for name in contest.servers:
        contest.settle(name)


def _ask(server: Server, contest: Field) -> tuple[int, dict[str, Any]]:
    seat = contest.at.seats[0]
    request = urllib.request.Request(
        server.url + message_path(seat),
        BODY.encode(),
        {"Authorization": f"Bearer {seat.token}", "Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        body: dict[str, Any] = json.loads(response.read())
        status = int(response.status)
    return status, {key: None if key in _OWN else value for key, value in body.items()}
