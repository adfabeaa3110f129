"""How much is measured: all of it, or what fits into about three minutes (`QUICK=1`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Rounds, lengths and sizes of one run."""

    rounds: int
    #: Length of one sample of throughput, and what is dropped before the first of a process.
    seconds: int
    warm_up_seconds: int
    connections: tuple[int, ...]
    #: Length of one sample of latency at a constant rate.
    rate_seconds: int
    contestants: tuple[str, ...]
    #: Where PostgreSQL stands.
    distances_ms: tuple[int, ...]
    drained_messages: int
    histories: tuple[int, ...]
    streams: int
    #: Requests of each kind whose times are compared.
    tries: int


QUICK = Scale(
    rounds=3,
    seconds=1,
    warm_up_seconds=1,
    connections=(16,),
    rate_seconds=3,
    contestants=("no_io", "sqlmodel", "asyncpg", "celery", "verbatim"),
    distances_ms=(5,),
    drained_messages=8_000,
    histories=(10_000, 200_000),
    streams=50,
    tries=200,
)
FULL = Scale(
    rounds=5,
    seconds=4,
    warm_up_seconds=2,
    connections=(1, 16, 64),
    rate_seconds=15,
    contestants=(
        "no_io", "sqlmodel", "asyncpg", "background", "celery", "batches", "langchain", "agents",
        "verbatim",
    ),
    distances_ms=(1, 5, 50),
    drained_messages=40_000,
    histories=(10_000, 1_000_000, 10_000_000),
    streams=50,
    tries=1_000,
)  # fmt: skip
