"""Quantiles of the lag, from accepted to committed, out of the histogram `verbatim_lag_seconds`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from api.core.errors import VerbatimError
from api.core.metrics import drain_families, exposition

FAMILY: Final = "verbatim_lag_seconds"


class NoHistogramError(VerbatimError):
    """The metrics contain no usable lag histogram."""


@dataclass(frozen=True, slots=True)
class Lag:
    """A histogram: upper bounds in seconds, the last one infinite, and cumulative counts."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def entries(self) -> int:
        """How many entries were observed."""
        return self.counts[-1]

    def since(self, earlier: "Lag") -> "Lag":
        """Return the observations made since an earlier reading of the same server.

        Raises NoHistogramError if the histogram was reset in between (another Redis or version).
        """
        counts = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=False))
        if self.bounds != earlier.bounds or min(counts) < 0:
            raise NoHistogramError("the lag histogram was reset meanwhile")
        return Lag(self.bounds, counts)

    def quantile_seconds(self, quantile: float) -> float:
        """Return a quantile, interpolated linearly within its bucket, as Prometheus does.

        Infinite beyond the last bound; not a number if nothing was observed.
        """
        if self.entries == 0:
            return math.nan
        rank = quantile * self.entries
        place = next(at for at, count in enumerate(self.counts) if count > 0 and count >= rank)
        upper = self.bounds[place]
        if math.isinf(upper):
            return math.inf
        lower, below = (self.bounds[place - 1], self.counts[place - 1]) if place else (0.0, 0)
        return lower + (upper - lower) * (rank - below) / (self.counts[place] - below)


def parse(exposed: str) -> Lag:
    """Parse the histogram in a `/metrics` page. Raises NoHistogramError if it has none."""
    try:
        families = list(text_string_to_metric_families(exposed))
    except ValueError as error:
        raise NoHistogramError("the metrics are not in Prometheus' text format") from error
    buckets = sorted(
        (float(sample.labels["le"]), int(sample.value))
        for family in families
        if family.name == FAMILY
        for sample in family.samples
        if sample.name == f"{FAMILY}_bucket"
    )
    if not buckets or buckets[-1][0] != math.inf:
        raise NoHistogramError(f"the metrics hold no histogram {FAMILY}")
    bounds, counts = zip(*buckets, strict=True)
    return Lag(bounds, counts)


def of_counts(drained: Mapping[str, int]) -> Lag:
    """Return the histogram in the drain's counts (`Log.counts`)."""
    return parse(exposition(drain_families(drained)).decode())
