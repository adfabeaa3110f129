"""This build beside an earlier one, which EARLIER= names, in one run: each with its own servers."""

import os
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Final, TypeVar

from tests.bench.earlier.builds import Build, checkout
from tests.bench.earlier.highest_rate import highest_rates
from tests.bench.figures import Report, say
from tests.bench.load import Closed, closed_loop, open_loop
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site

T = TypeVar("T")

#: The build before the fast lane.
_REVISION: Final = "e25ff3a"
_HERE: Final = Path(__file__).parents[3]
_NAMES: Final = ("verbatim", "earlier")
_CONNECTIONS: Final = (16, 64)


def measure(_at: Site, scale: Scale, report: Report) -> None:
    """Ask both in turns."""
    revision = os.environ.get("EARLIER", _REVISION)
    folders = dict(zip(_NAMES, (_HERE, checkout(_HERE, revision)), strict=True))
    with ExitStack() as stack:
        builds = {
            name: stack.enter_context(
                Build(folder, stack.enter_context(tempfile.TemporaryDirectory()))
            )
            for name, folder in folders.items()
        }
        for one in (_latency, _accepts, _scripts, _pages, _memory, _highest):
            say(f"earlier: {one.__name__.strip('_')}")
            one(builds, scale, report)


def _latency(builds: dict[str, Build], scale: Scale, report: Report) -> None:
    """Times to the answer at 300 messages a second."""

    def sample(name: str) -> dict[str, float]:
        seen = open_loop(builds[name].url, builds[name].seats, 300, scale.rate_seconds)
        builds[name].ask("settle")
        return seen.quantiles_ms

    seen = interleaved(_NAMES, scale.rounds, sample)
    for quantile in ("p50", "p99"):
        _add(report, f"{quantile}_300", "ms", _each(seen, itemgetter(quantile)))


def _accepts(builds: dict[str, Build], scale: Scale, report: Report) -> None:
    """Messages a second, and what all processes, and the API's alone, spend on one."""

    def sample(name: str, connections: int) -> tuple[float, float, float]:
        build = builds[name]
        before = build.ask("cpu")
        seen = closed_loop(build.url, build.message_paths, connections, scale.seconds)
        build.ask("settle")
        after = build.ask("cpu")
        spent = {part: (after[part] - before[part]) * 1000 / seen.requests for part in after}
        return seen.per_second, sum(spent.values()), spent["api"]

    for name in _NAMES:
        sample(name, _CONNECTIONS[0])
    for connections in _CONNECTIONS:
        seen = interleaved(_NAMES, scale.rounds, partial(sample, connections=connections))
        _add(report, f"accept_{connections}", "msg/s", _each(seen, itemgetter(0)))
        _add(report, f"cpu_{connections}", "ms", _each(seen, itemgetter(1)))
        _add(report, f"cpu_{connections}_api", "ms", _each(seen, itemgetter(2)))


def _scripts(builds: dict[str, Build], scale: Scale, report: Report) -> None:
    """Redis's time a message in the log's script: while the worker stands, no other one runs."""

    def sample(name: str, connections: int) -> float:
        build = builds[name]
        build.signal_worker(signal.SIGSTOP)
        try:
            before = build.ask("script")["us"]
            seen = closed_loop(build.url, build.message_paths, connections, scale.seconds)
            after = build.ask("script")["us"]
        finally:
            build.signal_worker(signal.SIGCONT)
        build.ask("settle")
        return (after - before) / seen.requests

    for connections in _CONNECTIONS:
        seen = interleaved(_NAMES, scale.side_rounds, partial(sample, connections=connections))
        _add(report, f"script_{connections}", "µs", seen)


def _pages(builds: dict[str, Build], scale: Scale, report: Report) -> None:
    """Pages of 50 as messages and as history, and the list of 20 conversations."""
    asked = {
        "page": "/api/conversations/{conversation}/messages?limit=50",
        "history": "/api/chat/{session}/history",
        "list": "/api/conversations/?limit=20",
    }

    def sample(name: str, path: str, connections: int) -> Closed:
        build = builds[name]
        return closed_loop(build.reading_url, build.paths(path), connections, scale.seconds, "")

    for what, path in asked.items():
        for name in _NAMES:
            sample(name, path, 1)
        for connections in (1, 16):
            one = partial(sample, path=path, connections=connections)
            seen = interleaved(_NAMES, scale.rounds, one)
            called = f"{what}_{connections}"
            _add(report, f"{called}_p50", "ms", _each(seen, attrgetter("p50_ms")))
            _add(report, called, "req/s", _each(seen, attrgetter("per_second")))


def _memory(builds: dict[str, Build], _scale: Scale, report: Report) -> None:
    """Resident memory of a process that has accepted all of the above, and of one that was read."""
    seen = {name: [build.ask("memory")] for name, build in builds.items()}
    for what in ("accepting", "reading"):
        _add(report, f"memory_{what}", "MB", _each(seen, itemgetter(what)))


def _highest(builds: dict[str, Build], scale: Scale, report: Report) -> None:
    """The highest rate of an open loop that none is refused of, with a p99 within 50 ms."""
    seen = highest_rates(builds, scale)
    _add(report, "highest_rate", "msg/s", seen)


def _each(seen: dict[str, list[T]], of: Callable[[T], float]) -> dict[str, list[float]]:
    return {name: [of(one) for one in several] for name, several in seen.items()}


def _add(report: Report, name: str, unit: str, seen: dict[str, list[float]]) -> None:
    ours, theirs = (seen[build] for build in _NAMES)
    report.add(f"{name}_verbatim_vs_earlier", unit, ours, theirs)
