"""Measure the drain alone, on servers of its own: `python -m tests.drain.measure`.

Messages that were added one by one, and in batches of ten: what each costs of the processor, in the
worker, PostgreSQL and Redis. Wall time tells less on a machine that does other work. The words for
search are left out: they come after the messages, and cost the same however those came.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import psutil
from redis import Redis

from api.core import database, garbage_collector, migrations
from api.core.accept_requests import AcceptRequest
from api.core.batches import Draft
from api.core.bind import open_log
from api.core.settings import Settings, postgres_url
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.drain.world import Conversation, FaultyLog, World
from tests.support.servers import running
from workers.search_words import SearchWords

ROUNDS = 5
MESSAGES = 20_000
CONVERSATIONS = 200
BATCH = 10
TEXT = "Could you move the dentist to Thursday, please? " * 3


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        running(EmbeddedPostgres(Path(directory) / "postgres")) as postgres,
        running(EmbeddedRedis(Path(directory) / "redis")) as redis,
        Redis.from_url(redis.url) as client,
    ):
        settings = Settings(database_url=postgres.url, redis_url=redis.url)
        migrations.migrate(postgres_url(postgres.url))
        engine = database.make_engine(settings.database, application_name="measure")
        log = FaultyLog(client, "verbatim")
        open_log(log, engine)
        measure(World(log, engine, settings))
        engine.dispose()


class NoWords(SearchWords):
    """Writes no words for search."""

    def write_some(self) -> bool:
        self.is_done = True
        return False


def measure(world: World) -> None:
    world.drain._words = NoWords(world.engine)
    owner = world.user()
    conversations = [world.open(owner, partition=n % 16) for n in range(CONVERSATIONS)]
    for size in (1, BATCH):
        costs(world, conversations, size)
    garbage_collector.quieten()  # as in a worker
    rounds = [[costs(world, conversations, size) for size in (1, BATCH)] for _ in range(ROUNDS)]
    sums = []
    for size, of_size in zip((1, BATCH), zip(*rounds, strict=True), strict=True):
        worker, postgres, redis, seconds = map(median, zip(*of_size, strict=True))
        sums.append(worker + postgres + redis)
        sys.stdout.write(
            f"in entries of {size}: {sums[-1]:.1f} µs of CPU a message (worker {worker:.1f},"
            f" PostgreSQL {postgres:.1f}, Redis {redis:.1f}), {MESSAGES / seconds:.0f} a second\n"
        )
    sys.stdout.write(f"single ones cost {sums[0] / sums[1]:.2f} times as much\n")


def costs(world: World, conversations: Sequence[Conversation], size: int) -> list[float]:
    """Fill the log and drain it; return µs a message of each process, and the seconds it took."""
    for conversation in conversations:
        fill(world, conversation, size)
    postmaster = psutil.Process(int(world.sql("SELECT pg_backend_pid()")[0][0])).parent()
    redis = psutil.Process(int(world.log.redis.info("server")["process_id"]))

    def used() -> list[float]:
        backends = postmaster.children(recursive=True) if postmaster else []
        return [time.process_time(), sum(map(cpu_of, backends)), cpu_of(redis)]

    before, started = used(), time.monotonic()
    world.drain_all()
    seconds = time.monotonic() - started
    spent = [now - then for now, then in zip(used(), before, strict=True)]
    return [*(one / MESSAGES * 1e6 for one in spent), seconds]


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def fill(world: World, conversation: Conversation, size: int) -> None:
    """Add a conversation's share of the messages, in entries of so many."""
    count = MESSAGES // CONVERSATIONS // size
    if size == 1:
        world.add(conversation, *([TEXT] * count))
        return
    drafts = [Draft("user", TEXT)] * size
    batch = AcceptRequest.batch(conversation.owner, conversation.id, drafts)
    assert {answer.status for answer in world.submit(*[batch] * count)} == {"ok"}


if __name__ == "__main__":
    main()
