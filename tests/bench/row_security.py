"""What row-level security costs a read."""

import time
from contextlib import ExitStack
from typing import Final

from sqlalchemy import Engine, text

from api.core import single_reads
from api.core.database import make_engine
from api.core.single_reads import Query
from api.reads import conversation_documents, message_documents
from tests.bench.figures import Report, say
from tests.bench.reads import load
from tests.bench.scale import Scale
from tests.bench.site import Site, another

MESSAGES: Final = 10_000


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Read pages in turn as the API, and as the owner of tables with row security off."""
    say("row security")
    with another(at, "rows") as one, ExitStack() as stack:
        load(one, MESSAGES)
        engines = []
        for url in (one.settings.database, one.settings.migration_database):
            engines.append(make_engine(url, application_name="bench", pool_size=1))
            stack.callback(engines[-1].dispose)
        api, owner = engines
        with owner.begin() as connection:
            for table in ("conversation", "message", "log_partition"):
                connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
        seat = one.seats[0]
        listed = conversation_documents.Wanted(seat.user_id, limit=20)
        latest = message_documents.Wanted(
            *(seat.user_id, seat.conversation_id, "but_latest", 0, 50, "desc", "asc"),
            with_extra=True,
        )
        pages = {
            "conversations": listed.query(with_last_ids=False),
            "messages": latest.query(is_plain=True, with_last_ids=False),
        }
        for name, page in pages.items():
            with_it, without = _in_turn(api, owner, seat.user_id, page, scale.tries)
            report.add(f"row_security_{name}_on_vs_off", "ms", with_it, without)


def _in_turn(
    api: Engine, owner: Engine, reader: int, page: Query, tries: int
) -> tuple[list[float], list[float]]:
    """Return the times with and without row security, in ms."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * tries):
        started = time.perf_counter()
        single_reads.ask((api, owner)[number % 2], reader, page)
        took[number % 2].append((time.perf_counter() - started) * 1000)
    return took
