"""The checker: was every promise kept? A pure function over histories and final tables.

Order: within a conversation the log's ids only rise, so stored order must be the order of ids;
and what was answered before another request began must stand before it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from tests.chaos import (
    check_batches,
    check_branches,
    check_conversations,
    check_messages,
    check_reads,
)
from tests.chaos.history import Alarm, Answered, Event, Listed, Polled, Shut
from tests.chaos.operations import fold
from tests.chaos.tables import Tables
from tests.chaos.verdicts import Report

#: What comes of a log that forgot its last second, after PostgreSQL had got some of it or before:
#: entries are missing, with what they changed; repeated requests are new ones; turns have holes;
#: and the log has counted less than PostgreSQL, until the partition's next entry.
_FORGOTTEN: Final = frozenset(
    {"lost", "title", "resurrected", "doubled", "reordered", "forgotten", "unbalanced", "raced"}
)


def check(events: Iterable[Event], tables: Tables, *, losses_allowed: bool = False) -> Report:
    """Judge every operation, row and read.

    `losses_allowed` is for a Redis in `everysec` mode that lost its power: what it forgot then is
    counted among the verdicts, and is no violation. Whatever is wrong with what it kept still is.
    """
    known = list(events)
    operations = fold(known)
    report = Report()
    report.acknowledged = sum(
        len(op.entries) + len(op.replies)
        for op in operations.values()
        if op.kind in check_messages.WRITE_MESSAGES
    )
    changes = check_branches.check(operations, tables, report, losses_allowed=losses_allowed)
    check_batches.check(operations.values(), tables, changes, report)
    check_messages.check(operations, tables, changes, report)
    check_conversations.check(operations, tables, report)
    check_reads.check(
        operations,
        tables,
        changes,
        [event for event in known if isinstance(event, Polled)],
        [event for event in known if isinstance(event, Listed)],
        report,
    )
    _check_shut(known, report)
    for conversation, position in tables.misfound:
        report.break_promise("misfound", f"{conversation}", f"position {position}")
    for event in known:
        if isinstance(event, Alarm):
            report.break_promise(event.kind, "tester", event.detail)
    if losses_allowed:
        report.violations = [v for v in report.violations if v.kind not in _FORGOTTEN]
    return report


def summary(report: Report, most: int = 20) -> Sequence[str]:
    """Return a few lines for people: the first violations of each kind."""
    lines = []
    shown: Counter[str] = Counter()
    for violation in report.violations:
        shown[violation.kind] += 1
        if shown[violation.kind] <= most:
            lines.append(f"{violation.kind}: {violation.subject}: {violation.detail}")
    return lines


def _check_shut(events: Sequence[Event], report: Report) -> None:
    """Find writes that were sent and answered 2xx while the log had to be shut."""
    periods = [event for event in events if isinstance(event, Shut)]
    if not periods:
        return
    # A misfit is no request: the tester itself writes it to the log.
    sent = {op.name: op.invoked for op in fold(events).values() if op.kind != "misfit"}
    for event in events:
        if not isinstance(event, Answered) or event.outcome != "ok" or event.op not in sent:
            continue
        for period in periods:
            if period.began <= sent[event.op] and event.at <= period.ended:
                report.break_promise("opened", event.op, period.why)
