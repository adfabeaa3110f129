"""How fast a message is accepted: throughput and latency, contestant by contestant."""

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from tests.bench.figures import Report, say
from tests.bench.inserts import BATCHED_QUEUE, QUEUE
from tests.bench.load import BODY, LoadError, Open, closed_loop, message_path, open_loop
from tests.bench.processes import BATCHES_PYTHON, Running, Server, servers, worker
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site

RATE: Final = 300
_SETTLE_SECONDS: Final = 60.0
#: What differs between two answers to the same request.
_OWN: Final = ("id", "created_at")


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
        while name == "verbatim" and self.at.backlog():
            if time.monotonic() > deadline:
                raise LoadError("the drain does not keep up")
            time.sleep(0.02)
        time.sleep(0.3)

    def throughput(self, name: str, connections: int, seconds: int) -> float:
        """Messages a second, accepted from so many connections."""
        paths = [(message_path(seat), seat.token) for seat in self.at.seats]
        seen = closed_loop(self.servers[name].url, paths, connections, seconds)
        self.settle(name)
        return seen.per_second

    def latency(self, name: str, rate: int, seconds: int) -> Open:
        """Times to the answer at a constant rate."""
        seen = self.latency_unsettled(name, rate, seconds)
        self.settle(name)
        return seen

    def latency_unsettled(self, name: str, rate: int, seconds: int) -> Open:
        """Return the same, and leave a backlog where PostgreSQL is to blame for it."""
        return open_loop(self.servers[name].url, self.at.seats, rate, seconds)


@contextmanager
def field(
    at: Site, contestants: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Field]:
    """Run these contestants and what they need."""
    env = dict(environment or at.environment)
    with ExitStack() as stack:
        workers: dict[str, Running] = {}
        if "verbatim" in contestants:
            workers["verbatim"] = stack.enter_context(
                worker("workers.app", env, at.directory, options=["--task-events"])
            )
        if "celery" in contestants:
            rival = worker("tests.bench.celery_rival", env, at.directory)
            workers["celery"] = stack.enter_context(rival)
        if "batches" in contestants:
            batches = worker("tests.bench.batches_rival", env, at.directory, python=BATCHES_PYTHON)
            workers["batches"] = stack.enter_context(batches)
        running = stack.enter_context(servers(contestants, env, at.directory))
        broker = stack.enter_context(Redis.from_url(env["BENCH_BROKER_URL"]))
        yield Field(at, running, workers, broker)


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure all contestants of this scale, PostgreSQL next to them."""
    with field(at, scale.contestants) as contest:
        assert_equal_answers(contest)
        for name in scale.contestants:
            contest.throughput(name, 16, scale.warm_up_seconds)
        for connections in scale.connections:
            _throughput(contest, connections, scale, report)
        _latency(contest, scale, report)


def assert_equal_answers(contest: Field) -> None:
    """Ask everybody the same and compare what they say, ids aside."""
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


def _throughput(contest: Field, connections: int, scale: Scale, report: Report) -> None:
    say(f"accept: throughput from {connections} connections")
    seen = interleaved(
        list(contest.servers),
        scale.rounds,
        lambda name: contest.throughput(name, connections, scale.seconds),
    )
    ours = seen.pop("verbatim")
    for name, values in seen.items():
        report.add(f"accept_{connections}_verbatim_vs_{name}", "msg/s", ours, values)


def _latency(contest: Field, scale: Scale, report: Report) -> None:
    say(f"accept: latency at {RATE} requests a second")
    seen = interleaved(
        list(contest.servers),
        scale.rounds,
        lambda name: contest.latency(name, RATE, scale.rate_seconds),
    )
    ours = seen.pop("verbatim")
    for name, theirs in seen.items():
        for quantile in ("p50", "p99", "p999"):
            report.add(
                f"accept_{quantile}_{RATE}_verbatim_vs_{name}",
                "ms",
                [getattr(one, f"{quantile}_ms") for one in ours],
                [getattr(one, f"{quantile}_ms") for one in theirs],
            )
