import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli import lag
from api.cli.lag import Lag, NoHistogramError
from api.core import metrics
from api.core.metrics import DrainCounts

INF = math.inf


def counted(*lags_ms: int) -> Lag:
    counts = DrainCounts()
    for lag_ms in lags_ms:
        counts.observe_lags([lag_ms])
    return lag.of_counts(counts.mapping())


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    found = Lag((0.1, 0.2, INF), (10, 30, 30))

    assert found.quantile_seconds(0.5) == pytest.approx(0.125)
    assert found.quantile_seconds(1 / 3) == pytest.approx(0.1)
    assert found.quantile_seconds(1.0) == pytest.approx(0.2)


def test_empty_buckets_do_not_move_a_quantile() -> None:
    found = Lag((0.1, 0.2, 0.3, 0.4, INF), (0, 0, 10, 10, 10))

    assert found.quantile_seconds(0.5) == pytest.approx(0.25)
    assert found.quantile_seconds(0.0) == pytest.approx(0.2)


def test_a_quantile_beyond_the_last_bound_is_infinite() -> None:
    found = counted(5, 400_000)

    assert found.quantile_seconds(0.25) < 0.005
    assert found.quantile_seconds(0.99) == INF


def test_an_empty_histogram_has_no_quantile() -> None:
    assert math.isnan(counted().quantile_seconds(0.5))


@given(st.lists(st.integers(0, 300_000), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_value_at_that_rank(
    lags_ms: list[int], quantile: float
) -> None:
    found = counted(*lags_ms).quantile_seconds(quantile) * 1000

    rank = max(math.ceil(quantile * len(lags_ms)), 1)
    true = sorted(lags_ms)[rank - 1]
    upper = min(bound for bound in metrics.MS_BOUNDS if bound >= true)
    lower = max((bound for bound in metrics.MS_BOUNDS if bound < upper), default=0)
    assert lower - 1e-6 <= found <= upper + 1e-6


def test_only_observations_in_between_count() -> None:
    before = counted(10_000, 10_000)
    after = counted(10_000, 10_000, 4, 4)

    between = after.since(before)

    assert between.entries == 2
    assert between.quantile_seconds(0.99) < 0.005


def test_a_histogram_that_was_reset_is_an_error() -> None:
    with pytest.raises(NoHistogramError, match="reset"):
        counted(4).since(counted(4, 5))


def test_the_histogram_is_read_from_the_metrics_page_of_the_server() -> None:
    counts = DrainCounts()
    counts.observe_lags([15])
    counts.observe_batch(entries=3, drain_ms=900)
    page = metrics.exposition(metrics.drain_families(counts.mapping())).decode()

    found = lag.parse(page)

    assert found.entries == 1
    assert 0.010 < found.quantile_seconds(0.5) <= 0.015


@pytest.mark.parametrize("page", ["", "verbatim_lag_seconds 3\n", "<html>", "a{b 1\n"])
def test_a_page_without_the_histogram_is_an_error(page: str) -> None:
    with pytest.raises(NoHistogramError):
        lag.parse(page)
