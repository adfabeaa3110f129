"""A table of messages as it is, and by hash of conversation: what a row and a page cost.

`python -m tests.bench.capacity.rows [MESSAGES]` prints medians of interleaved rounds. Of what
PostgreSQL itself does: CPU of its process, WAL and blocks, so that other work on the machine
disturbs it little. All but the last rounds of messages are loaded before there are indexes.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.capacity.row_tables import KINDS, PER_CONVERSATION, Table
from tests.support.servers import QuickPostgres, fresh_database, running

ROUNDS: Final = 3
#: A server that loads much: nothing is to be copied, and nothing is vacuumed meanwhile.
_SETTINGS: Final = """
wal_level = minimal
max_wal_senders = 0
max_wal_size = 8GB
shared_buffers = 1GB
maintenance_work_mem = 512MB
autovacuum = off
"""


class LoadingPostgres(QuickPostgres):
    """The embedded PostgreSQL, for tables that are large."""

    def _make_cluster(self) -> None:
        super()._make_cluster()
        with (self.directory / "cluster" / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)


def measure(conversations: int, directory: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the kind of table, what was measured, and its median."""
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)

    def take(name: str, took: dict[str, float]) -> None:
        for what, value in took.items():
            seen[name, what].append(value)

    loaded = PER_CONVERSATION - ROUNDS
    with ExitStack() as until_the_end:
        server = until_the_end.enter_context(running(LoadingPostgres(directory)))
        tables = {name: Table(fresh_database(server), name, conversations) for name in KINDS}
        for table in tables.values():
            until_the_end.callback(table.close)
        for position, table in product(range(1, loaded + 1), tables.values()):
            table.load_round(position)
        for name, table in tables.items():
            table.index()
            take(
                name,
                {f"{what}, as loaded": size for what, size in table.stored_bytes(loaded).items()},
            )
        for position, (name, table) in product(
            range(loaded + 1, PER_CONVERSATION + 1), tables.items()
        ):
            take(name, table.add_round(position))
        for name, table in tables.items():
            table.tidy()
            take(name, table.stored_bytes(PER_CONVERSATION))
        for _, (name, table) in product(range(ROUNDS), tables.items()):
            take(name, table.read_pages())
    for (name, what), values in seen.items():
        yield name, what, median(values)


if __name__ == "__main__":
    wanted_messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as temporary:
        for kind, measured, middle in measure(wanted_messages // PER_CONVERSATION, Path(temporary)):
            print(f"{kind:10} {measured:44} {middle:10.1f}")
