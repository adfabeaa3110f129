"""How much is measured: all of it, or what fits into a few minutes (`QUICK=1`).

The whole run is to fit into about 35 minutes of an idle machine of two cores. What each section is
given, its servers' start included, in minutes:

accept        13   9 contestants: 3 numbers of connections, then two rates of 5 s a round
distance       4   2 contestants at 3 distances, then one asleep
drain          4   5 contestants, then 9 variants with a worker of their own each round
costs          2   3 rates
reads          4   most of it for loading a million messages, and twice more for the rivals
losses         1.5 8 contestants, once
streams        1.5
storm          1.5
telling        1.5
row_security   0.5
keys           3   three windows of a minute or so, whose keys come and go
backlog        3   a million entries in, and out again
imports       10   only when it is named: half a million messages, twice
earlier       10   only when it is named: two builds, one request of each in turn
huge          30   only when it is named: nearly all of it loads 10 million messages
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Rounds, lengths and sizes of one run."""

    name: str
    rounds: int
    #: Rounds of what has no target.
    side_rounds: int
    #: Length of one sample of throughput, and what is dropped before the first of a process.
    seconds: int
    warm_up_seconds: int
    connections: tuple[int, ...]
    #: Length of one sample of latency at a constant rate.
    rate_seconds: int
    contestants: tuple[str, ...]
    #: Where PostgreSQL stands.
    distances_ms: tuple[int, ...]
    #: Messages a second, from a producer with no web server between.
    rates: tuple[int, ...]
    drained_messages: int
    keyed_messages: int
    #: Batch sizes and worker processes to drain with.
    batch_sizes: tuple[int, ...]
    processes: tuple[int, ...]
    backlog_entries: int
    #: Each with 50 messages.
    imported_conversations: int
    histories: tuple[int, ...]
    huge_history: int
    streams: int
    #: Requests of each kind whose times are compared.
    tries: int


QUICK = Scale(
    name="quick",
    rounds=3,
    side_rounds=1,
    seconds=1,
    warm_up_seconds=1,
    connections=(16,),
    rate_seconds=2,
    contestants=(
        "no_io",
        "no_io_lane",
        "sqlmodel",
        "asyncpg",
        "asyncpg_lane",
        "celery",
        "verbatim",
        "verbatim_2",
    ),
    distances_ms=(5,),
    rates=(1_000,),
    drained_messages=8_000,
    keyed_messages=25_000,
    batch_sizes=(64,),
    processes=(2,),
    backlog_entries=20_000,
    imported_conversations=200,
    histories=(10_000, 100_000),
    huge_history=200_000,
    streams=50,
    tries=200,
)
FULL = Scale(
    name="full",
    rounds=5,
    side_rounds=3,
    seconds=2,
    warm_up_seconds=2,
    connections=(1, 16, 64),
    rate_seconds=5,
    contestants=(
        "no_io", "no_io_lane", "sqlmodel", "asyncpg", "asyncpg_lane", "background", "celery",
        "batches", "langchain", "agents", "verbatim", "verbatim_2",
    ),
    distances_ms=(1, 5, 50),
    rates=(10, 100, 1_000),
    drained_messages=40_000,
    keyed_messages=250_000,
    batch_sizes=(1, 8, 64, 512, 2_048, 5_000),
    processes=(1, 2, 4),
    backlog_entries=1_000_000,
    imported_conversations=10_000,
    histories=(10_000, 1_000_000),
    huge_history=10_000_000,
    streams=50,
    tries=1_000,
)  # fmt: skip
