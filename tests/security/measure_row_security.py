"""What row-level security costs a read: `python -m tests.security.measure_row_security`.

The same pages, read in turn by the owner of the tables with row security off for the statement's
transaction, and by the API's role with it on; one JSON object a line.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, text
from sqlmodel import Session

from api.core.database import Viewer, make_engine, reading
from api.core.settings import postgres_url
from api.local.postgres import EmbeddedPostgres
from api.repositories import ConversationRepository, MessageRepository
from tests.postgres.rows import add_conversation, add_messages, add_user
from tests.servers import fresh_database, running, urls_of

USERS = 20
CONVERSATIONS = 200
MESSAGES = 500
READS = 400


def main() -> None:
    with (
        TemporaryDirectory() as directory,
        running(EmbeddedPostgres(Path(directory, "postgres"))) as server,
    ):
        url = fresh_database(server)
        urls = urls_of(server, url)
        owner = make_engine(postgres_url(url), application_name="measure", pool_size=1)
        api = make_engine(
            postgres_url(urls["database_url"]), application_name="measure", pool_size=1
        )
        reader = fill(owner)
        with owner.begin() as connection:
            connection.execute(text("ALTER TABLE conversation NO FORCE ROW LEVEL SECURITY"))
            connection.execute(text("ALTER TABLE message NO FORCE ROW LEVEL SECURITY"))
            connection.commit()
        pages: dict[str, Callable[[Session], object]] = {
            "20 conversations": lambda s: ConversationRepository(s).list(reader, limit=20),
            "50 messages": lambda s: MessageRepository(s).latest(reader, 16, limit=50),
        }
        for name, page in pages.items():
            without, with_it = compare(owner, api, reader, page)
            print(json.dumps({
                "name": f"row security: a page of {name}, median", "value": round(with_it, 3),
                "unit": "ms", "baseline": round(without, 3), "ratio": round(with_it / without, 3),
            }))  # fmt: skip
        owner.dispose()
        api.dispose()


def fill(owner: Engine) -> int:
    """Add users with conversations; return one user, whose first conversation has messages."""
    users = [add_user(owner, f"user{number}") for number in range(USERS)]
    for number in range(USERS * CONVERSATIONS):
        add_conversation(owner, users[number % USERS], 16 * (number + 1), title="a title")
    add_messages(owner, users[0], 16, ["a message of some length " * 8] * MESSAGES)
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return users[0]


def compare(
    owner: Engine, api: Engine, reader: int, page: Callable[[Session], object]
) -> tuple[float, float]:
    """Return both medians in ms, of reads that took turns."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * READS):
        engine, viewer = ((owner, None), (api, Viewer(reader)))[number % 2]
        started = time.perf_counter()
        with reading(engine, viewer) as session:
            page(session)
        took[number % 2].append((time.perf_counter() - started) * 1000)
    return statistics.median(took[0]), statistics.median(took[1])


if __name__ == "__main__":
    main()
