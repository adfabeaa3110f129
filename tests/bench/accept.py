"""How fast a message is accepted: throughput and latency, contestant by contestant."""

import statistics
from collections.abc import Callable
from typing import Final

from tests.bench.field import PARTS, Field, assert_equal_answers, field
from tests.bench.figures import Report, say
from tests.bench.load import QUANTILES, Open
from tests.bench.rounds import interleaved
from tests.bench.scale import Scale
from tests.bench.site import Site

#: Requests a second for all, and connections for what has a target.
RATE: Final = 300
CONNECTIONS: Final = 16


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Measure all contestants of this scale, PostgreSQL next to them."""
    with field(at, scale.contestants) as contest:
        assert_equal_answers(contest)
        for name in scale.contestants:
            contest.throughput(name, CONNECTIONS, scale.warm_up_seconds)
        saturation = dict.fromkeys(scale.contestants, 0.0)
        for connections in scale.connections:
            for name, per_second in _throughput(contest, connections, scale, report).items():
                saturation[name] = max(saturation[name], per_second)
        say(f"accept: latency at {RATE} requests a second")
        _latency(contest, lambda _: RATE, str(RATE), scale, report)
        say("accept: latency at half of what each can take")
        _latency(contest, lambda name: int(saturation[name] / 2), "half", scale, report)


def _throughput(contest: Field, connections: int, scale: Scale, report: Report) -> dict[str, float]:
    """Report and return messages a second."""
    say(f"accept: throughput from {connections} connections")
    seen = interleaved(
        list(contest.servers),
        scale.rounds if connections == CONNECTIONS else scale.side_rounds,
        lambda name: contest.throughput(name, connections, scale.seconds),
    )
    per_second = {name: [one.per_second for one in samples] for name, samples in seen.items()}
    cpu = {name: [sum(one.cpu_ms.values()) for one in samples] for name, samples in seen.items()}
    for name in (one for one in seen if one != "verbatim"):
        against = f"verbatim_vs_{name}"
        ours, theirs = per_second["verbatim"], per_second[name]
        report.add(f"accept_{connections}_{against}", "msg/s", ours, theirs)
        if connections == CONNECTIONS:
            report.add(f"cpu_per_message_{against}", "ms", cpu["verbatim"], cpu[name])
    if connections == CONNECTIONS:
        for part in PARTS:
            spent = [one.cpu_ms[part] for one in seen["verbatim"]]
            report.add(f"cpu_per_message_{part}", "ms", spent)
    return {name: statistics.median(values) for name, values in per_second.items()}


def _latency(
    contest: Field, rate: Callable[[str], int], called: str, scale: Scale, report: Report
) -> None:
    seen = interleaved(
        list(contest.servers),
        scale.rounds,
        lambda name: contest.latency(name, rate(name), scale.rate_seconds),
    )
    ours = seen.pop("verbatim")
    for name, theirs in seen.items():
        report_quantiles(report, f"{called}_verbatim_vs_{name}", ours, theirs)


def report_quantiles(report: Report, called: str, values: list[Open], baseline: list[Open]) -> None:
    """Report the times to an answer, each quantile by itself."""
    for quantile in QUANTILES:
        ours, theirs = (
            [sample.quantiles_ms[quantile] for sample in samples] for samples in (values, baseline)
        )
        report.add(f"accept_{quantile}_{called}", "ms", ours, theirs)
