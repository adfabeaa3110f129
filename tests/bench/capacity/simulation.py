"""The busiest minute, in ticks: what arrives at a part, what it gets done, what waits."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PARTITIONS: Final = 16
TICK_MS: Final = 10.0
TICKS: Final = 6_000
#: Users drawn to see how unevenly partitions are used; a larger site is more even than that.
DRAWN_MOST: Final = 20_000
#: From here on a normal distribution is as good as Poisson's.
_MANY: Final = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one part did."""

    busy: float  #: the busiest group's share of its time
    wait_ms: float  #: 99th percentile over ticks and groups


def partition_shares(active: int, evenness: float, chance: random.Random) -> list[float]:
    """Return each partition's share of the messages: users are in one by their ids."""
    shares = [0.0] * PARTITIONS
    for _ in range(max(1, min(active, DRAWN_MOST))):
        shares[chance.randrange(PARTITIONS)] += chance.paretovariate(evenness)
    whole = sum(shares)
    return [share / whole for share in shares]


def groups(shares: Sequence[float], servers: int) -> list[float]:
    """Return the share of each of some servers that split the partitions evenly."""
    loads = [0.0] * min(servers, len(shares))
    for place, share in enumerate(shares):
        loads[place * len(loads) // len(shares)] += share
    return loads


def run(rate: float, loads: Sequence[float], cost_ms: float, cores: float, seed: int) -> Seen:
    """Run the minute for one part: `loads` are the shares of its groups, `cores` each one's."""
    chance = random.Random(seed)
    can = cores * TICK_MS
    waits: list[float] = []
    for load in loads:
        mean = rate * load * TICK_MS / 1000
        waiting = 0.0
        for _ in range(TICKS // len(loads) + 1):
            waiting = max(0.0, waiting + _arrivals(mean, chance) * cost_ms - can)
            waits.append(waiting / cores)
    waits.sort()
    busy = max(loads) * rate * cost_ms / 1000 / cores
    return Seen(busy, waits[int(len(waits) * 0.99)])


def _arrivals(mean: float, chance: random.Random) -> int:
    if mean > _MANY:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count
