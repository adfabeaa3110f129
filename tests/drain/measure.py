"""Measure the drain alone, on servers of its own: `python -m tests.drain.measure`."""

import sys
import tempfile
import time
from pathlib import Path

from redis import Redis

from api.core import database, migrations
from api.core.bind import open_log
from api.core.settings import Settings, postgres_url
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from tests.drain.world import FaultyLog, World
from tests.support.servers import running

MESSAGES = 50_000
CONVERSATIONS = 500
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


def measure(world: World) -> None:
    owner = world.user()
    conversations = [world.open(owner, partition=n % 16) for n in range(CONVERSATIONS)]
    for _ in range(MESSAGES // CONVERSATIONS // 20):
        for conversation in conversations:
            world.add(conversation, *([TEXT] * 20))
    started, cpu = time.monotonic(), time.process_time()
    messages = batches = 0
    while world.backlog():
        summary = world.drain.run()
        messages += summary["messages"]
        batches += summary["batches"]
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    sys.stdout.write(
        f"{messages} messages in {seconds:.2f} s: {messages / seconds:.0f}/s, {batches} batches,"
        f" {cpu / seconds:.0%} of a core in Python\n"
    )


if __name__ == "__main__":
    main()
