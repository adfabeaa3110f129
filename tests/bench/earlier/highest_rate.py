"""The highest rate of an open loop that a build takes in, found by halving."""

from typing import Final

from tests.bench.earlier.builds import Build
from tests.bench.figures import say
from tests.bench.load import LoadError, open_loop
from tests.bench.scale import Scale

#: Messages a second: each 1.15 times the one before.
_RATES: Final = [round(200 * 1.15**step) for step in range(21)]
_P99_MS: Final = 50.0


def highest_rates(builds: dict[str, Build], scale: Scale) -> dict[str, list[float]]:
    """Return the highest of _RATES that each build stood, round by round; 0 where it stood none.

    One try of each build in turn.
    """
    found: dict[str, list[float]] = {name: [] for name in builds}
    for _ in range(scale.side_rounds):
        reached = {name: (-1, len(_RATES)) for name in builds}
        while left := [name for name, (low, high) in reached.items() if high - low > 1]:
            for name in left:
                low, high = reached[name]
                middle = (low + high) // 2
                is_stood = _stands(builds[name], _RATES[middle], scale.rate_seconds)
                say(f"earlier: {name} at {_RATES[middle]} a second: {'yes' if is_stood else 'no'}")
                reached[name] = (middle, high) if is_stood else (low, middle)
        for name, (low, _high) in reached.items():
            found[name].append(float(_RATES[low]) if low >= 0 else 0.0)
    return found


def _stands(build: Build, rate: int, seconds: int) -> bool:
    try:
        seen = open_loop(build.url, build.seats, rate, seconds)
    except LoadError:
        return False
    finally:
        build.ask("settle")
    return not seen.refused and seen.quantiles_ms["p99"] <= _P99_MS
