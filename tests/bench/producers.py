"""Messages at a constant rate with no web server between: what the layers behind it cost."""

import asyncio
import secrets
import time
from datetime import UTC, datetime
from itertools import count
from typing import Final

import asyncpg

from api.core.bell import Bell, make_celery
from tests.bench.inserts import ONE_STATEMENT
from tests.bench.site import TEXT, Site

_STEP_SECONDS: Final = 0.001
_MOST_AT_ONCE: Final = 128
_CONNECTIONS: Final = 24


def to_log(at: Site, rate: int, seconds: float) -> int:
    """Put messages into the log, those that are due at once as a group commit does; ring."""
    bell = Bell(make_celery(at.settings))
    bell.start()
    started, sent, total = time.monotonic(), 0, int(rate * seconds)
    while sent < total:
        due = min(int((time.monotonic() - started) * rate), total) - sent
        if due > 0:
            several = range(sent, sent + min(due, _MOST_AT_ONCE))
            if at.accept(*(at.add_request(number) for number in several)):
                bell.ring()
            sent = several.stop
        time.sleep(_STEP_SECONDS)
    bell.stop()
    return sent


def to_postgres(at: Site, rate: int, seconds: float) -> int:
    """Insert each message by one statement of its own."""
    return asyncio.run(_to_postgres(at, rate, seconds))


async def _to_postgres(at: Site, rate: int, seconds: float) -> int:
    async def no_reset(_: object) -> None:
        """Spare a round trip, as in tests/bench/contestants.py."""

    ids = count(secrets.randbelow(2**40))
    pool = await asyncpg.create_pool(
        at.rival_url, min_size=_CONNECTIONS, max_size=_CONNECTIONS, reset=no_reset
    )
    started, sent, total = time.monotonic(), 0, int(rate * seconds)
    tasks: set[asyncio.Task[object]] = set()
    while sent < total:
        due = min(int((time.monotonic() - started) * rate), total) - sent
        for number in range(sent, sent + due):
            seat = at.seats[number % len(at.seats)]
            facts = (seat.conversation_id, seat.user_id, next(ids), "user", TEXT, datetime.now(UTC))
            task = asyncio.create_task(pool.fetchval(ONE_STATEMENT, *facts))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        sent += due
        await asyncio.sleep(_STEP_SECONDS)
    await asyncio.gather(*tasks)
    await pool.close()
    return sent
