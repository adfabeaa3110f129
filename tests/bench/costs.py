"""What a message costs behind the web server at a constant rate: lag, CPU, transactions, WAL."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from api.cli import lag
from tests.bench import producers
from tests.bench.figures import Report, say
from tests.bench.processes import Running, worker
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site

#: Sessions tell the statistics of their transactions at most once a second.
_STATISTICS_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True)
class Cost:
    """Per message; times in milliseconds."""

    postgres_cpu_ms: float
    transactions: float
    wal_bytes: float
    worker_cpu_ms: float = 0.0
    lag_p50_ms: float = 0.0
    lag_p99_ms: float = 0.0


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure at 1,000 messages a second against (b2), and Verbatim alone at lower rates."""
    with worker("workers.app", at.environment, at.directory, options=["--task-events"]) as ours:
        _cost(at, ours, 100, scale.warm_up_seconds)
        for rate in scale.rates:
            say(f"costs: {rate} messages a second")
            names = ["verbatim", "asyncpg"] if rate == 1_000 else ["verbatim"]
            workers = {"verbatim": ours, "asyncpg": None}
            seen = interleaved(
                names,
                scale.rounds,
                lambda name: _cost(at, workers[name], rate, scale.rate_seconds),  # noqa: B023 - used at once
            )
            _report(report, rate, seen)


def _report(report: Report, rate: int, seen: dict[str, list[Cost]]) -> None:
    ours = seen["verbatim"]
    report.add(f"lag_p50_{rate}", "ms", [cost.lag_p50_ms for cost in ours])
    report.add(f"lag_p99_{rate}", "ms", [cost.lag_p99_ms for cost in ours])
    report.add(f"worker_cpu_per_message_{rate}", "ms", [cost.worker_cpu_ms for cost in ours])
    report.add(f"postgres_cpu_per_message_{rate}", "ms", [cost.postgres_cpu_ms for cost in ours])
    if theirs := seen.get("asyncpg"):
        for name, unit, of in _AGAINST:
            values = [of(cost) for cost in ours]
            report.add(f"{name}_verbatim_vs_asyncpg", unit, values, [of(cost) for cost in theirs])


_AGAINST: Final[tuple[tuple[str, str, Callable[[Cost], float]], ...]] = (
    ("postgres_cpu_per_message", "ms", lambda cost: cost.postgres_cpu_ms),
    ("transactions_per_message", "transactions", lambda cost: cost.transactions),
    ("wal_per_message", "bytes", lambda cost: cost.wal_bytes),
)


def _cost(at: Site, ours: Running | None, rate: int, seconds: float) -> Cost:
    """Send messages, wait until all are rows, and add up what that took."""
    lags = lag.of_counts(at.log.counts())
    worker_cpu = ours.cpu_seconds() if ours else 0.0
    cpu, (transactions, wal) = at.postgres_cpu_seconds(), _books(at)
    produce = producers.to_log if ours else producers.to_postgres
    messages = produce(at, rate, seconds)
    while at.backlog():
        time.sleep(0.01)
    cpu = at.postgres_cpu_seconds() - cpu
    worker_cpu = (ours.cpu_seconds() if ours else 0.0) - worker_cpu
    time.sleep(_STATISTICS_SECONDS)
    transactions_after, wal_after = _books(at)
    seen = lag.of_counts(at.log.counts()).since(lags)
    return Cost(
        postgres_cpu_ms=cpu * 1000 / messages,
        transactions=(transactions_after - transactions) / messages,
        wal_bytes=(wal_after - wal) / messages,
        worker_cpu_ms=worker_cpu * 1000 / messages,
        lag_p50_ms=seen.quantile_seconds(0.5) * 1000 if ours else 0.0,
        lag_p99_ms=seen.quantile_seconds(0.99) * 1000 if ours else 0.0,
    )


def _books(at: Site) -> tuple[int, int]:
    """Return the transactions and WAL bytes of the whole server so far."""
    with at.connection() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(xact_commit + xact_rollback), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
            " FROM pg_stat_database"
        )
        [(transactions, wal)] = cursor.fetchall()
    return int(transactions), int(wal)
