"""How fast history is read, and whether it stays so as there is more of it."""

import json
import statistics
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from api.core import partition_counts
from api.core.database import make_engine
from api.core.entries import VERSION, Entry
from api.core.ids import PARTITIONS, partition_of
from api.http import fields
from tests.bench import sdks
from tests.bench.figures import Report, say
from tests.bench.load import Closed, LoadError, closed_loop, message_path
from tests.bench.processes import Server, servers
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import TEXT, Site, another
from workers import sql, write
from workers.planner import make_plan

#: Messages of the one long conversation, and where its last page begins.
LONG: Final = 100_000
DEEP: Final = LONG - 50
_CHUNK: Final = 5_000
#: Contestants with a reader of their own.
_RIVALS: Final = ("langchain", "agents")
#: Those that answer out of memory.
_MEMORY: Final = ("no_io", "no_io_lane")
#: What such a page may take of PostgreSQL's CPU, by what one of Verbatim's takes.
_IDLE: Final = 0.2


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure each size in a database of its own, all in turn."""
    with _loaded(at, scale.histories, ["verbatim", *_MEMORY, *_RIVALS]) as (sites, asked):
        for one, size in zip(sites.values(), sites, strict=True):
            _load_rivals(
                one, {name: asked[f"{name}-{size}"] for name in ("verbatim", *_MEMORY, *_RIVALS)}
            )
        _sizes(sites, asked, scale, report)
        _rivals(sites, asked, scale, report)
        large = max(sites)
        _depth(sites[large], asked[f"verbatim-{large}"], scale, report)
        _throughput(sites[large], asked, scale, report)


def measure_huge(at: Site, scale: Scale, report: Report) -> None:
    """Measure Verbatim alone, with as much history as takes long to load."""
    sizes = (min(scale.histories), scale.huge_history)
    with _loaded(at, sizes, ["verbatim"]) as (sites, asked):
        _sizes(sites, asked, scale, report)


@contextmanager
def _loaded(
    at: Site, sizes: Sequence[int], contestants: Sequence[str]
) -> Iterator[tuple[dict[int, Site], dict[str, Server]]]:
    """Lend a database with so many messages each, and servers by contestant and size."""
    with ExitStack() as stack:
        sites = {size: stack.enter_context(another(at, f"reads-{size}")) for size in sizes}
        asked: dict[str, Server] = {}
        for size, one in sites.items():
            load(one, size)
            running = stack.enter_context(servers(contestants, one.environment, at.directory))
            asked |= {f"{name}-{size}": server for name, server in running.items()}
        yield sites, asked


def load(at: Site, messages: int) -> None:
    """Store messages by the drain's own code, the first ones in one long conversation."""
    say(f"reads: loading {messages:,} messages")
    engine = make_engine(at.settings.worker_database, application_name="bench")
    long = LONG if messages > LONG else 0
    for first in range(0, messages, _CHUNK):
        numbers = range(first, min(first + _CHUNK, messages))
        seats = [at.seats[0 if n < long else n % len(at.seats)] for n in numbers]
        with sql.transaction(engine) as cursor:
            locked = partition_counts.lock_free(cursor, range(PARTITIONS), PARTITIONS)
            cursors = {partition: one.last_id for partition, one in locked.items()}
            ends = dict(cursors)
            batch: dict[int, list[Entry]] = {partition: [] for partition in locked}
            for seat in seats:
                partition = partition_of(seat.conversation_id)
                ends[partition] += PARTITIONS
                batch[partition].append(
                    Entry(
                        *(ends[partition], VERSION, "add", seat.user_id, seat.conversation_id),
                        *("user", "stored", int(time.time() * 1000), 0, TEXT.encode()),
                    )
                )
            entries = [entry for several in batch.values() for entry in several]
            plan = make_plan(batch, cursors, sql.look_up(cursor, entries, []), {})
            write.write_plan(cursor, plan)
            partition_counts.advance(cursor, plan.tallies)
    engine.dispose()
    with at.connection() as connection:
        connection.autocommit = True
        connection.cursor().execute("VACUUM ANALYZE")


def _sizes(sites: dict[int, Site], asked: dict[str, Server], scale: Scale, report: Report) -> None:
    """Read the latest page, and the list, from one connection."""
    for what, paths in (("latest", _histories), ("list", _lists)):
        say(f"reads: {what}, by size")
        ways = {
            str(size): partial(
                closed_loop, asked[f"verbatim-{size}"].url, paths(one), 1, scale.seconds, ""
            )
            for size, one in sites.items()
        }
        seen = interleaved(list(ways), scale.rounds, lambda size: ways[size]().p50_ms)  # noqa: B023 - used at once
        small, *larger = seen
        for size in larger:
            report.add(f"page_{what}_{size}_vs_{small}", "ms", seen[size], seen[small])


def _load_rivals(at: Site, asked: dict[str, Server]) -> None:
    """Give the rivals the same messages, and see that they answer with the same texts."""
    say("reads: loading the rivals")
    with at.connection() as connection:
        sdks.load(connection, TEXT)
        connection.autocommit = True
        connection.cursor().execute("VACUUM ANALYZE")
    path, token = _histories(at)[-1]
    texts = {name: _texts(server.url + path, token) for name, server in asked.items()}
    if any(seen != texts["verbatim"] for seen in texts.values()):
        raise LoadError("the readers do not answer with the same messages")


def _texts(url: str, token: str) -> list[tuple[str, str]]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        page = json.loads(response.read())["messages"]
    return [(message["sender"], message["content"]) for message in page]


def _rivals(sites: dict[int, Site], asked: dict[str, Server], scale: Scale, report: Report) -> None:
    """Read the latest page of conversations of ordinary length, as each reader does it."""
    for size, one in sites.items():
        say(f"reads: readers at {size:,} messages")
        # The first conversation is the long one.
        paths = _histories(one)[1:]
        seen = interleaved(
            ["verbatim", *_RIVALS],
            scale.rounds,
            lambda name: (
                closed_loop(
                    asked[f"{name}-{size}"].url,  # noqa: B023 - used at once
                    paths,  # noqa: B023 - as above
                    1,
                    scale.seconds,
                    "",
                ).p50_ms
            ),
        )
        for name in _RIVALS:
            report.add(f"page_{size}_verbatim_vs_{name}", "ms", seen["verbatim"], seen[name])


def _depth(at: Site, server: Server, scale: Scale, report: Report) -> None:
    """Read the first and the last page of a long conversation."""
    say("reads: by depth")
    seat = at.seats[0]

    def page(offset: str) -> float:
        path = f"{message_path(seat)}?limit=50&offset={offset}"
        return closed_loop(server.url, [(path, seat.token)], 1, scale.seconds, "").p50_ms

    seen = interleaved(["0", str(DEEP)], scale.rounds, page)
    report.add("page_deep_vs_first", "ms", seen[str(DEEP)], seen["0"])


def _throughput(at: Site, asked: dict[str, Server], scale: Scale, report: Report) -> None:
    """Read histories of all users from 16 connections, against the same out of memory."""
    say("reads: throughput")
    size = max(scale.histories)

    paths = _histories(at)

    def ask(name: str, seconds: int) -> Closed:
        return closed_loop(asked[f"{name}-{size}"].url, paths, 16, seconds, "")

    def read(name: str, seconds: int) -> tuple[float, float]:
        """Return pages a second, and PostgreSQL's CPU for one, in milliseconds."""
        before = at.postgres_cpu_seconds()
        seen = ask(name, seconds)
        return seen.per_second, (at.postgres_cpu_seconds() - before) * 1000 / seen.requests

    names = ["verbatim", *_MEMORY]
    for name in names:
        # Until each has read all once, so that it has in memory what it can have.
        seconds = scale.warm_up_seconds
        while ask(name, seconds).requests < len(paths):
            seconds *= 2
    seen = interleaved(names, scale.rounds, lambda name: read(name, scale.seconds))
    cpu = {name: statistics.median(each for _, each in samples) for name, samples in seen.items()}
    for name in _MEMORY:
        if cpu[name] > _IDLE * cpu["verbatim"]:
            raise LoadError(f"{name} asks PostgreSQL: {cpu[name]:.3f} ms a page")
        ours, theirs = ([each for each, _ in seen[one]] for one in ("verbatim", name))
        report.add(f"history_verbatim_vs_{name}", "req/s", ours, theirs)


def _histories(at: Site) -> list[tuple[str, str]]:
    return [
        (f"/api/chat/{fields.session_id(seat.conversation_id)}/history", seat.token)
        for seat in at.seats
    ]


def _lists(at: Site) -> list[tuple[str, str]]:
    return [("/api/conversations/?limit=20", seat.token) for seat in at.seats]
