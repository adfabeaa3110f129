"""Checks on batches, which are there whole and in one piece or not at all, and on external ids."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from api.core.ids import PARTITIONS
from tests.chaos.check_branches import Changes
from tests.chaos.operations import Operation, batches
from tests.chaos.tables import MessageRow, Tables
from tests.chaos.verdicts import Report


def check(
    operations: Iterable[Operation], tables: Tables, changes: Changes, report: Report
) -> None:
    """Judge every batch and every external id."""
    by_id = {row.id: row for row in tables.everywhere}
    by_mark: dict[tuple[str, str], list[MessageRow]] = defaultdict(list)
    for row in by_id.values():
        by_mark[row.op, row.role].append(row)
    for name, ops in batches(operations).items():
        conversation = tables.conversations.get(ops[0].conversation)
        if conversation is None or conversation.deleted:
            continue
        rows = _with_deleted([_row_of(op, by_id, by_mark) for op in ops], by_id)
        if trouble := _trouble(rows, ops, changes):
            report.break_promise("torn", name, trouble)
    named = Counter((row.conversation, row.external) for row in tables.messages if row.external)
    for (where, external), count in named.items():
        if count > 1:
            report.break_promise("doubled", external, f"{count} messages of {where}")


def _row_of(
    op: Operation,
    by_id: Mapping[int, MessageRow],
    by_mark: Mapping[tuple[str, str], list[MessageRow]],
) -> MessageRow | None:
    """Return the row of a message: by its id, or else the first with its text.

    Others with its text came later: it was asked again, or an answer quotes it.
    """
    if op.entry:
        return by_id.get(op.entry)
    return min(by_mark.get((op.name, op.role), ()), key=lambda row: row.id, default=None)


def _with_deleted(
    rows: Sequence[MessageRow | None], by_id: Mapping[int, MessageRow]
) -> list[MessageRow | None]:
    """Return the rows of a batch, with those that lost their text, and their mark, since."""
    found = list(rows)
    first = next((r.id - PARTITIONS * at for at, r in enumerate(rows) if r is not None), None)
    for at, row in enumerate(rows):
        place = None if first is None else by_id.get(first + PARTITIONS * at)
        if row is None and place is not None and place.status == "deleted":
            found[at] = place
    return found


def _trouble(rows: Sequence[MessageRow | None], ops: Sequence[Operation], changes: Changes) -> str:
    """Say what is wrong with a batch, given its rows in the order that they were sent in."""
    first = next((r.id - PARTITIONS * at for at, r in enumerate(rows) if r is not None), None)
    if first is None:
        return ""
    changed = changes.of.get(ops[0].conversation)
    missing = [first + PARTITIONS * at for at, row in enumerate(rows) if row is None]
    if not all(changed is not None and changed.may_lack(message) for message in missing):
        return f"{len(missing)} of {len(rows)} messages are missing"
    if any(r is not None and r.id != first + PARTITIONS * at for at, r in enumerate(rows)):
        return "its ids do not follow each other"
    for one, other in pairwise(rows):
        if one is None or other is None or one.branch != other.branch:
            continue
        if other.position != one.position + 1:
            return f"{one.id} and {other.id} are not neighbours"
    return ""
