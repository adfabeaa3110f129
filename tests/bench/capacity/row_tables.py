"""The two tables of messages that `tests.bench.capacity.rows` compares, filled as people write."""

import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from api.core import single_reads
from api.core.database import make_engine
from api.core.settings import postgres_url
from api.reads.message_documents import Wanted
from tests.support.rows import add_user
from workers import write

PER_CONVERSATION: Final = 50
BATCH: Final = 2048
PAGES: Final = 400
PARTITIONS: Final = 64
CONTENT: Final = (
    "Some words of a message, as long as those of people mostly are, and a few more. " * 3
)

#: What makes a table, of a kind: its last words, and the columns of its primary key.
KINDS: Final = {
    "as it is": ("", "id"),
    "by hash": ("PARTITION BY HASH (conversation_id)", "conversation_id, id"),
}
_PARTITIONS: Final = [
    f"CREATE TABLE made_{n} PARTITION OF made FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {n})"
    for n in range(PARTITIONS)
]
#: Nothing has indexes before it is filled: what was there already is loaded without them.
_INDEXES: Final = (
    "ALTER TABLE message ADD PRIMARY KEY ({key})",
    "ALTER TABLE message ADD UNIQUE (conversation_id, position)",
    """ALTER TABLE message ADD FOREIGN KEY (conversation_id, user_id)
        REFERENCES conversation (id, user_id)""",
    """CREATE UNIQUE INDEX ON message (conversation_id, external_id)
        WHERE external_id IS NOT NULL""",
    """CREATE INDEX ON message (conversation_id, position)
        WHERE role NOT IN ('user', 'assistant')""",
    "CREATE INDEX ON message (user_id, external_id) WHERE external_id LIKE 'chain:%'",
)
_CONVERSATIONS: Final = """
    INSERT INTO conversation (id, user_id, message_count, created_at, updated_at)
    SELECT n * 16, :owner, 0, now(), now() FROM generate_series(1, :count) AS n
"""
_COUNT: Final = "UPDATE conversation SET message_count = :count"
#: One message to each conversation, in an order of its own: 7919 is a prime.
_LOAD: Final = """
    INSERT INTO message (id, conversation_id, user_id, position, role, content, status, created_at)
    SELECT (:position * :count + n) * 16, (n * 7919 % :count + 1) * 16, :owner, :position, 'user',
        :content, 'stored', now()
    FROM generate_series(1, :count) AS n
"""
#: The conversation's id in the inner statement too: then the planner sees which partition it is.
_NAMED: Final = ("message.conversation_id = conversation.id", "message.conversation_id = {id}")
#: Of all its partitions; a table without any is no tree.
_SIZE: Final = """
    SELECT coalesce(sum({function}(relid)), {function}('message'))
    FROM pg_partition_tree('message') WHERE isleaf
"""
_SIZES: Final = {
    "stored, bytes": _SIZE.format(function="pg_total_relation_size"),
    "of that indexes, bytes": _SIZE.format(function="pg_indexes_size"),
}


class Table:
    """One kind of table, in a database of its own."""

    def __init__(self, url: str, kind: str, conversations: int) -> None:
        self._engine: Engine = make_engine(postgres_url(url), application_name="verbatim-bench")
        self._owner = add_user(self._engine, "somebody")
        self._conversations = conversations
        ending, self._key = KINDS[kind]
        changes = [
            f"CREATE TABLE made (LIKE message INCLUDING DEFAULTS INCLUDING CONSTRAINTS) {ending}",
            *(_PARTITIONS if ending else ()),
            "DROP TABLE message",
            "ALTER TABLE made RENAME TO message",
        ]
        with self._engine.begin() as connection:
            for change in changes:
                connection.execute(text(change))
            wanted = {"owner": self._owner, "count": conversations}
            connection.execute(text(_CONVERSATIONS), wanted)

    def load_round(self, position: int) -> None:
        """Add one message to each conversation, before there are indexes."""
        given = {
            "position": position,
            "count": self._conversations,
            "owner": self._owner,
            "content": CONTENT,
        }
        with self._engine.begin() as connection:
            connection.execute(text(_LOAD), given)

    def index(self) -> None:
        """Make the indexes and keys, and vacuum."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in _INDEXES:
                connection.execute(text(statement.format(key=self._key)))
            connection.execute(text("VACUUM ANALYZE"))

    def add_round(self, position: int) -> dict[str, float]:
        """Add one message to each conversation as the drain does; return what a message took."""
        order = list(range(1, self._conversations + 1))
        random.Random(position).shuffle(order)
        with self._engine.begin() as connection:
            connection.execute(text(_COUNT), {"count": position - 1})
        with self._engine.connect() as connection:
            before = _used(connection)
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                first = (position * self._conversations + start) * 16
                columns = (
                    [first + 16 * place for place in range(1, len(batch) + 1)],
                    [16 * number for number in batch],
                    *([value] * len(batch) for value in (self._owner, "user", CONTENT, "stored")),
                    [0] * len(batch),
                )
                connection.exec_driver_sql(write._ADD, columns)
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
            explained = [_explained(connection, query) for query in queries[:50]]
        return {
            "CPU, us": (after["cpu_us"] - before["cpu_us"]) / PAGES,
            **{what: statistics.median(one[what] for one in explained) for what in explained[0]},
        }

    def stored_bytes(self, rounds: int) -> dict[str, float]:
        """Return what one message takes on disk, and its part of the indexes."""
        with self._engine.connect() as connection:
            sizes = {what: connection.execute(text(of)).scalar_one() for what, of in _SIZES.items()}
        return {what: float(size) / self._conversations / rounds for what, size in sizes.items()}

    def tidy(self) -> None:
        """Vacuum, as autovacuum would have done."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))

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
        assert joined in query.statement.text
        direct = query.statement.text.replace(joined, named.format(id=number * 16))
        return single_reads.Query(replace(query.statement, text=direct), query.parameters)


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


def _explained(connection: Connection, query: single_reads.Query) -> dict[str, float]:
    """Return the blocks that a query reads, wherever they are, and the time to plan it."""
    statement = query.statement
    explained: Any = connection.exec_driver_sql(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}",
        {**statement.constants, **query.parameters},
    ).scalar_one()
    plan = explained[0]["Plan"]
    return {
        "blocks": float(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]),
        "planning, us": explained[0]["Planning Time"] * 1000,
        "execution, us": explained[0]["Execution Time"] * 1000,
    }
