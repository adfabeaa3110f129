"""PostgreSQL elsewhere, as serverless databases always are: some way off, or asleep."""

from typing import Final

from tests.bench.accept import CONNECTIONS, RATE, report_quantiles
from tests.bench.far import Far, far
from tests.bench.field import Field, field
from tests.bench.figures import Report, say
from tests.bench.load import Open
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site

_RIVAL: Final = "asyncpg"
_CONTESTANTS: Final = (_RIVAL, "verbatim")
#: The distance that has targets.
_WANTED_MS: Final = 5
#: Slower than one that wakes up.
_ASLEEP_MS: Final = 2_000.0


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure Verbatim against (b2) at each distance, then alone with PostgreSQL asleep."""
    with far(at) as way, field(at, _CONTESTANTS, way.environment(at)) as contest:
        for name in _CONTESTANTS:
            contest.throughput(name, CONNECTIONS, scale.warm_up_seconds)
        for distance in scale.distances_ms:
            _at_distance(contest, way, distance, scale, report)
        _asleep(contest, way, scale, report)


def _at_distance(contest: Field, way: Far, distance: int, scale: Scale, report: Report) -> None:
    say(f"PostgreSQL {distance} ms away")
    rounds = scale.rounds if distance == _WANTED_MS else scale.side_rounds
    way.away(distance)
    seen = interleaved(
        _CONTESTANTS,
        rounds,
        lambda name: contest.throughput(name, CONNECTIONS, scale.seconds).per_second,
    )
    called = f"verbatim_vs_{_RIVAL}_{distance}ms_away"
    report.add(f"accept_{CONNECTIONS}_{called}", "msg/s", seen["verbatim"], seen[_RIVAL])
    paced = interleaved(
        _CONTESTANTS, rounds, lambda name: contest.latency(name, RATE, scale.rate_seconds)
    )
    report_quantiles(report, f"{RATE}_{called}", paced["verbatim"], paced[_RIVAL])
    way.away(0)


def _asleep(contest: Field, way: Far, scale: Scale, report: Report) -> None:
    """Ask Verbatim alone: nobody else answers while PostgreSQL does not."""
    say("PostgreSQL asleep")

    def latency(state: str) -> Open:
        way.away(_ASLEEP_MS if state == "asleep" else 0)
        seen = contest.latency_unsettled("verbatim", RATE, scale.rate_seconds)
        way.away(0)
        contest.settle("verbatim")
        return seen

    seen = interleaved(("awake", "asleep"), scale.rounds, latency)
    report_quantiles(report, f"{RATE}_asleep_vs_awake", seen["asleep"], seen["awake"])
