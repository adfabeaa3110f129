"""Metrics, as Prometheus families named `verbatim_…`.

Each API process counts the entries it accepts, in memory; several behind one port, in files that
each can add up (`api.local.processes`). The workers' counts are in one Redis hash
of integers (`{ns}:drain:counts`), written by the trim script from `DrainCounts.mapping()`, so that
any API process can show them. Fields of that hash:

    committed duplicates discarded dead_letters batches     plain counters, as is
    expired
    <name>_sum, <name>_count, <name>_le_<bound>             a histogram; one bucket per bound, not
        for <name> in lag_ms, batch_entries, drain_ms       cumulative; values above the last bound
                                                            are in <name>_count only
"""

import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.multiprocess import MultiProcessCollector

from api.core.log_status import LogStatus

#: Upper bounds of the lag and drain buckets in milliseconds; narrow near the targets.
MS_BOUNDS: Final = (
    *(1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500, 750),
    *(1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000, 300_000),
)
#: Upper bounds of the buckets that count entries.
ENTRY_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
#: The drain's plain counters, and their help texts.
DRAINED: Final = {
    "committed": "Entries committed to PostgreSQL",
    "duplicates": "Entries seen again after their commit, and only trimmed",
    "discarded": "Entries of conversations or users that were deleted",
    "dead_letters": "Entries that PostgreSQL refuses",
    "batches": "Transactions of the drain",
    "expired": "Conversations whose deletion by age was accepted",
}
_ACCEPT_BOUNDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)

#: Names the folder of these files; prometheus-client reads it when it is imported.
COUNTS_SETTING: Final = "PROMETHEUS_MULTIPROC_DIR"
REGISTRY: Final = CollectorRegistry()
accepted_total: Final = Counter(
    "verbatim_accepted_total",
    "Entries accepted by the API behind this port",
    ["op"],
    registry=REGISTRY,
)
refused_total: Final = Counter(
    "verbatim_refused_total",
    "Entries refused by the API behind this port",
    ["reason"],
    registry=REGISTRY,
)
feedback_total: Final = Counter(
    "verbatim_feedback_total",
    "Ratings of answers accepted by the API behind this port; `none`: taken back",
    ["rating"],
    registry=REGISTRY,
)
accept_seconds: Final = Histogram(
    "verbatim_accept_seconds",
    "From an entry's arrival at the group commit to its answer",
    buckets=_ACCEPT_BOUNDS,
    registry=REGISTRY,
)
group_size: Final = Histogram(
    "verbatim_group_size",
    "Entries sent to the log in one call",
    buckets=ENTRY_BOUNDS,
    registry=REGISTRY,
)


class DrainCounts:
    """The counts of one trim, added to the drain's hash by `HINCRBY` field by field."""

    def __init__(self) -> None:
        self._tally: Tally[str] = Tally()

    def count(
        self, *, committed: int = 0, duplicates: int = 0, discarded: int = 0, dead_letters: int = 0
    ) -> None:
        """Count entries by their outcome."""
        self._tally["committed"] += committed
        self._tally["duplicates"] += duplicates
        self._tally["discarded"] += discarded
        self._tally["dead_letters"] += dead_letters

    def observe_lags(self, lags_ms: Iterable[int]) -> None:
        """Count the times of entries from accepted to committed."""
        for lag_ms, entries in Tally(lags_ms).items():
            self._observe("lag_ms", lag_ms, MS_BOUNDS, entries)

    def observe_batch(self, *, entries: int, drain_ms: int) -> None:
        """Count one committed batch: its size, and the time to read and write it."""
        self._tally["batches"] += 1
        self._observe("batch_entries", entries, ENTRY_BOUNDS)
        self._observe("drain_ms", drain_ms, MS_BOUNDS)

    def mapping(self) -> dict[str, int]:
        """Return the fields to add, without zeros."""
        return {field: value for field, value in self._tally.items() if value}

    def _observe(self, name: str, value: int, bounds: tuple[int, ...], times: int = 1) -> None:
        value = max(value, 0)  # clocks of two machines may disagree
        self._tally[f"{name}_sum"] += value * times
        self._tally[f"{name}_count"] += times
        place = bisect_left(bounds, value)
        if place < len(bounds):
            self._tally[f"{name}_le_{bounds[place]}"] += times


def drain_families(drained: Mapping[str, int]) -> Iterator[Metric]:
    """Yield the families of the drain's hash."""
    for field, text in DRAINED.items():
        yield CounterMetricFamily(f"verbatim_{field}", text, value=drained.get(field, 0))
    yield _histogram("verbatim_lag_seconds", "From accepted to committed", drained, "lag_ms")
    yield _histogram("verbatim_drain_seconds", "One batch of the drain", drained, "drain_ms")
    yield _histogram("verbatim_batch_entries", "Entries in a batch", drained, "batch_entries")


def lag_buckets(drained: Mapping[str, int]) -> list[tuple[int | None, int]]:
    """Return the entries per bucket: its upper bound in ms, None for the last, and their number."""
    within = [(bound, drained.get(f"lag_ms_le_{bound}", 0)) for bound in MS_BOUNDS]
    beyond = drained.get("lag_ms_count", 0) - sum(count for _, count in within)
    return [*within, (None, beyond)]


def log_families(log: LogStatus, memory_ratio: float) -> Iterator[Metric]:
    """Yield the families of the log's state; `memory_ratio` is used memory by Redis' limit."""
    held = sum(partition.bytes for partition in log.partitions)
    for name, text, value in (
        ("backlog_entries", "Entries not known to be in PostgreSQL", log.entries),
        ("backlog_bytes", "Bytes of those entries", held),
        ("backlog_oldest_seconds", "Age of the oldest of them", log.oldest_age_ms / 1000),
        ("kept_entries", "Entries that PostgreSQL has, kept in case it goes back", log.kept),
        ("redis_memory_ratio", "Used memory by maxmemory, 0 without a limit", memory_ratio),
    ):
        yield GaugeMetricFamily(f"verbatim_{name}", text, value=value)


def worker_families(workers: int, *, went_back: bool, unbalanced: int) -> Iterator[Metric]:
    """Yield how many workers are there, and whether entries were found to be lost."""
    text = "Workers that have said within 15 s that they are there"
    yield GaugeMetricFamily("verbatim_workers", text, value=workers)
    text = "1 if the log began anew or lost entries, until `verbatim audit --acknowledge`"
    yield GaugeMetricFamily("verbatim_log_went_back", text, value=float(went_back))
    text = "Partitions that did not balance when a worker audited them last"
    yield GaugeMetricFamily("verbatim_unbalanced_partitions", text, value=unbalanced)


def broker_family(*, answers: bool) -> Metric:
    """Return whether Celery's broker answers."""
    text = "1 if the broker answers; without it no worker hears a doorbell"
    return GaugeMetricFamily("verbatim_broker_up", text, value=float(answers))


def standby_families(
    *, is_used: bool, lag_seconds: float, answered: int, passed_over: int
) -> Iterator[Metric]:
    """Yield the families of the standby that this process reads history from."""
    text = "1 if history is read from the standby"
    yield GaugeMetricFamily("verbatim_standby_up", text, value=float(is_used))
    text = "How old what it shows was at most, when it was looked at last"
    yield GaugeMetricFamily("verbatim_standby_lag_seconds", text, value=lag_seconds)
    reads = CounterMetricFamily(
        "verbatim_standby_reads", "Reads of history by who had to answer them", labels=["by"]
    )
    reads.add_metric(["standby"], answered)
    reads.add_metric(["primary"], passed_over)
    yield reads


def replicas_families(acknowledged: int, *, lacking: bool) -> Iterator[Metric]:
    """Yield how many replicas had this process's last call to the log, and whether too few."""
    text = "Replicas that had the last call to the log, 0 where none are asked for"
    yield GaugeMetricFamily("verbatim_redis_replicas", text, value=acknowledged)
    text = "1 while these are fewer than REDIS_REPLICAS, so that nothing is accepted"
    yield GaugeMetricFamily("verbatim_redis_replicas_missing", text, value=float(lacking))


def exposition(families: Iterable[Metric]) -> bytes:
    """Return what the API behind this port counted, and the given families, as Prometheus' text."""
    shared = CollectorRegistry()
    shared.register(_Families(list(families)))
    return generate_latest(_counted()) + generate_latest(shared)


def _counted() -> CollectorRegistry:
    """Return this process's counts; where several share a port, the sum, ended ones included."""
    if COUNTS_SETTING not in os.environ:
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together


class _Families:
    """A collector of families that are already collected."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _histogram(
    name: str, text: str, drained: Mapping[str, int], field: str
) -> HistogramMetricFamily:
    """Return a histogram from the drain's hash; milliseconds are converted to seconds."""
    unit = 1000 if field.endswith("_ms") else 1
    bounds = MS_BOUNDS if unit != 1 else ENTRY_BOUNDS
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound in bounds:
        total += drained.get(f"{field}_le_{bound}", 0)
        buckets.append((str(bound / unit), total))
    buckets.append(("+Inf", drained.get(f"{field}_count", 0)))
    return HistogramMetricFamily(name, text, buckets, drained.get(f"{field}_sum", 0) / unit)
