"""What a campaign tells: a table for people, one line of JSON for programs."""

import json
import statistics
from collections.abc import Iterator

from tests.chaos.campaign import Outcome
from tests.chaos.checker import summary
from tests.chaos.cluster import MASTERS

INVARIANTS = (
    "durable", "no ghosts", "order", "prefix", "idempotent", "intact", "never silently dropped",
    "isolated", "independent", "bounded", "heals alone",
)  # fmt: skip


def as_json(outcome: Outcome) -> str:
    """Return one line."""
    report = outcome.report
    return json.dumps(
        {
            "name": "chaos",
            "seed": outcome.seed,
            "masters": MASTERS if outcome.plan.cluster else 1,
            "replicas_waited_for": outcome.plan.replicas,
            "losses_allowed": outcome.plan.may_lose,
            "seconds": round(outcome.seconds, 1),
            "acknowledged": report.acknowledged,
            "changes": report.changes,
            "replayed": report.replayed,
            "verdicts": dict(report.verdicts),
            "reads": report.reads,
            "rows_read": report.rows_read,
            "fault_count": outcome.faults.total(),
            "faults": dict(outcome.faults),
            "skipped": outcome.skipped,
            "invariants": INVARIANTS,
            "violations": len(report.violations),
            "violation_kinds": dict(report.kinds),
            "recovery_seconds": {
                **_spread(outcome.recoveries),
                "last": round(outcome.last_recovery, 2),
            },
            "lag_ms": outcome.lag_ms,
            "bytes_lost_with_power": outcome.bytes_lost,
            "overload": outcome.floods,
            "traps_sprung": outcome.traps_sprung,
            "requests": outcome.tally,
        }
    )


def as_table(outcome: Outcome) -> Iterator[str]:
    """Return lines."""
    report = outcome.report
    yield f"seed {outcome.seed}, {outcome.seconds:.0f} s, {outcome.faults.total()} faults"
    if outcome.plan.cluster:
        yield f"log on {MASTERS} masters, REDIS_REPLICAS={outcome.plan.replicas}"
    if outcome.plan.may_lose:
        yield "these settings may lose what was answered: it is counted, and no violation"
    for name, count in outcome.faults.items():
        yield f"  {count:4} {name}"
    for name, reason in outcome.skipped.items():
        yield f"     - {name}: {reason}"
    yield f"acknowledged {report.acknowledged}, reads {report.reads} ({report.rows_read} rows)"
    yield f"changes {report.changes}, in {report.replayed} conversations replayed"
    for verdict, count in report.verdicts.most_common():
        yield f"  {count:8} {verdict}"
    recovery = _spread(outcome.recoveries)
    last = round(outcome.last_recovery, 2)
    yield f"recovery s {recovery}, after the last fault {last}; lag ms {outcome.lag_ms}"
    for flood in outcome.floods:
        yield f"overload {flood}"
    yield f"violations {len(report.violations)} {dict(report.kinds) or ''}"
    for line in summary(report):
        yield f"  {line}"


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {"p50": round(statistics.median(seconds), 2), "max": round(max(seconds), 2)}
