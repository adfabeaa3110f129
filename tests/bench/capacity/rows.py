"""A table of messages as it is, and by hash of conversation: what a row and a page cost.

`python -m tests.bench.capacity.rows [MESSAGES]` prints medians of interleaved rounds. Of what
PostgreSQL itself does: CPU of its process, WAL and blocks, so that other work on the machine
disturbs it little.
"""

import os
import random
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from api.core import single_reads
from api.core.database import make_engine
from api.core.settings import postgres_url
from api.reads.message_documents import Wanted
from tests.support.rows import add_user
from tests.support.servers import QuickPostgres, fresh_database, running

PER_CONVERSATION: Final = 50
ROUNDS: Final = 3
BATCH: Final = 2048
PAGES: Final = 400
PARTITIONS: Final = 64
CONTENT: Final = (
    "Some words of a message, as long as those of people mostly are, and a few more. " * 3
)

_BY_HASH: Final = (
    """CREATE TABLE by_hash (LIKE message INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
        PARTITION BY HASH (conversation_id)""",
    "ALTER TABLE by_hash ADD PRIMARY KEY (conversation_id, id)",
    "ALTER TABLE by_hash ADD UNIQUE (conversation_id, position)",
    """ALTER TABLE by_hash ADD FOREIGN KEY (conversation_id, user_id)
        REFERENCES conversation (id, user_id)""",
    "CREATE UNIQUE INDEX ON by_hash (conversation_id, external_id) WHERE external_id IS NOT NULL",
    "CREATE INDEX ON by_hash (conversation_id, position) WHERE role NOT IN ('user', 'assistant')",
    *(
        f"CREATE TABLE by_hash_{n} PARTITION OF by_hash"
        f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n})"
        for n in range(PARTITIONS)
    ),
    "DROP TABLE message",
    "ALTER TABLE by_hash RENAME TO message",
)
_PLAIN: Final = (
    "ALTER TABLE message NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE message DISABLE ROW LEVEL SECURITY",
)
_CONVERSATIONS: Final = """
    INSERT INTO conversation (id, user_id, message_count, created_at, updated_at)
    SELECT n * 16, :owner, :most, now(), now() FROM generate_series(1, :count) AS n
"""
_ADD: Final = """
    INSERT INTO message (id, conversation_id, user_id, position, role, content, status, created_at)
    SELECT unnest(CAST(:ids AS bigint[])), unnest(CAST(:conversations AS bigint[])), :owner,
        :position, 'user', :content, 'stored', now()
"""
#: The conversation's id in the inner statement too: then the planner sees which partition it is.
_NAMED: Final = ("message.conversation_id = conversation.id", "message.conversation_id = {id}")
_SIZE: Final = """
    SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size('message'))
    FROM pg_partition_tree('message') WHERE isleaf
"""


class Table:
    """One kind of table, in a database of its own, filled in the order in which people write."""

    def __init__(self, url: str, changes: Sequence[str], conversations: int) -> None:
        self._engine: Engine = make_engine(postgres_url(url), application_name="verbatim-bench")
        self._owner = add_user(self._engine, "somebody")
        self._conversations = conversations
        with self._engine.begin() as connection:
            for change in changes:
                connection.execute(text(change))
            wanted = {"owner": self._owner, "most": PER_CONVERSATION, "count": conversations}
            connection.execute(text(_CONVERSATIONS), wanted)

    def add_round(self, position: int) -> dict[str, float]:
        """Add one message to each conversation; return what a message took."""
        order = list(range(1, self._conversations + 1))
        random.Random(position).shuffle(order)
        with self._engine.connect() as connection:
            before = _used(connection)
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                first = (position * self._conversations + start) * 16
                given = {
                    "ids": [first + 16 * place for place in range(1, len(batch) + 1)],
                    "conversations": [16 * number for number in batch],
                    "owner": self._owner,
                    "position": position,
                    "content": CONTENT,
                }
                connection.execute(text(_ADD), given)
                connection.commit()
            after = _used(connection)
        each = self._conversations
        return {
            "insert CPU, us": (after["cpu_us"] - before["cpu_us"]) / each,
            "WAL, bytes": (after["wal"] - before["wal"]) / each,
        }

    def read_pages(self) -> dict[str, float]:
        """Read pages of random conversations; return what a page took."""
        chance = random.Random(1)
        numbers = [chance.randrange(1, self._conversations + 1) for _ in range(PAGES)]
        took = self._read([self._page(number) for number in numbers])
        named = self._read([self._named_page(number) for number in numbers])
        return {
            **{f"page {what}": value for what, value in took.items()},
            **{f"page, conversation named, {what}": value for what, value in named.items()},
        }

    def _read(self, queries: Sequence[single_reads.Query]) -> dict[str, float]:
        with self._engine.connect() as connection:
            before = _used(connection)
            for query in queries:
                single_reads.run(_OnConnection(connection), query)  # type: ignore[arg-type]
            after = _used(connection)
            blocks = statistics.median(_blocks(connection, query) for query in queries[:50])
        return {"CPU, us": (after["cpu_us"] - before["cpu_us"]) / PAGES, "blocks": blocks}

    def stored_bytes(self) -> float:
        """Return what one message takes on disk, its part of the indexes included."""
        with self._engine.connect() as connection:
            size = connection.execute(text(_SIZE)).scalar_one()
        return float(size) / self._conversations / PER_CONVERSATION

    def tidy(self) -> None:
        """Vacuum, as autovacuum would have done."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE message"))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _page(self, number: int) -> single_reads.Query:
        wanted = Wanted(
            *(self._owner, number * 16, "before", PER_CONVERSATION + 1, 50, "desc", "asc"),
            with_extra=False,
        )
        return wanted.query(is_plain=True, with_last_ids=False)

    def _named_page(self, number: int) -> single_reads.Query:
        query = self._page(number)
        joined, named = _NAMED
        assert joined in query.statement
        statement = query.statement.replace(joined, named.format(id=number * 16))
        return single_reads.Query(statement, query.parameters)


class _OnConnection:
    """As much of a session as `single_reads.run` needs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def connection(self) -> Connection:
        return self._connection


def _used(connection: Connection) -> dict[str, float]:
    """Return CPU of this connection's server process, in microseconds, and the end of the WAL."""
    pid, wal = connection.execute(
        text("SELECT pg_backend_pid(), pg_current_wal_lsn() - '0/0'::pg_lsn")
    ).one()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return {"cpu_us": ticks * 1e6 / os.sysconf("SC_CLK_TCK"), "wal": float(wal)}


def _blocks(connection: Connection, query: single_reads.Query) -> float:
    """Return the blocks that a query reads, wherever they are; planning aside."""
    explained: Any = connection.exec_driver_sql(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.statement}", dict(query.parameters)
    ).scalar_one()
    plan = explained[0]["Plan"]
    return float(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def measure(conversations: int, directory: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the kind of table, what was measured, and its median."""
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)

    def take(name: str, took: dict[str, float]) -> None:
        for what, value in took.items():
            seen[name, what].append(value)

    with ExitStack() as until_the_end:
        server = until_the_end.enter_context(running(QuickPostgres(directory)))
        tables = {
            name: Table(fresh_database(server), changes, conversations)
            for name, changes in (("as it is", _PLAIN), ("by hash", _BY_HASH))
        }
        for table in tables.values():
            until_the_end.callback(table.close)
        for position, (name, table) in product(range(1, PER_CONVERSATION + 1), tables.items()):
            took = table.add_round(position)
            take(name, took if position > PER_CONVERSATION - ROUNDS else {})
        for name, table in tables.items():
            table.tidy()
            take(name, {"stored, bytes": table.stored_bytes()})
        for _, (name, table) in product(range(ROUNDS), tables.items()):
            take(name, table.read_pages())
    for (name, what), values in seen.items():
        yield name, what, statistics.median(values)


if __name__ == "__main__":
    wanted_messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as temporary:
        for kind, measured, median in measure(wanted_messages // PER_CONVERSATION, Path(temporary)):
            print(f"{kind:10} {measured:36} {median:10.1f}")
