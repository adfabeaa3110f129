"""Checks on conversations: opened once, without gaps, with the last title, deleted for good."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from tests.chaos.operations import Operation
from tests.chaos.tables import MessageRow, Tables
from tests.chaos.verdicts import Report


def check(operations: Mapping[str, Operation], tables: Tables, report: Report) -> None:
    """Judge every conversation."""
    _check_opens(operations.values(), tables, report)
    _check_positions(tables, report)
    _check_deletes(operations.values(), tables, report)
    _check_titles(operations.values(), tables, report)


def _check_opens(operations: Iterable[Operation], tables: Tables, report: Report) -> None:
    claimed: set[int] = set()
    unsure: Counter[int] = Counter()
    for op in operations:
        if op.kind not in {"open", "fork"}:
            continue
        if len(op.entries) > 1:
            report.break_promise("doubled", op.name, f"opened as {sorted(op.entries)}")
        if op.outcome == "unknown":
            unsure[op.user] += 1
        for entry in op.entries:
            claimed.add(entry)
            row = tables.conversations.get(entry)
            if row is None:
                report.break_promise("lost", op.name, f"conversation {entry}")
            elif row.user != op.user:
                report.break_promise("foreign", op.name, f"{entry} belongs to user {row.user}")
    unclaimed = Counter(row.user for row in tables.conversations.values() if row.id not in claimed)
    for user, count in unclaimed.items():
        if count > unsure[user]:
            detail = f"{count} conversations nobody opened, {unsure[user]} opens of unknown outcome"
            report.break_promise("ghost", f"user {user}", detail)


def _check_positions(tables: Tables, report: Report) -> None:
    by_conversation: dict[int, list[MessageRow]] = defaultdict(list)
    for row in tables.messages:
        by_conversation[row.conversation].append(row)
    for conversation in tables.conversations.values():
        if conversation.deleted:
            continue
        positions = sorted(row.position for row in by_conversation[conversation.id])
        if positions != list(range(1, conversation.count + 1)):
            detail = f"{len(positions)} rows up to {positions[-1:]}, counted {conversation.count}"
            report.break_promise("gap", str(conversation.id), detail)


def _check_deletes(operations: Iterable[Operation], tables: Tables, report: Report) -> None:
    asked = {op.conversation: op for op in operations if op.kind == "delete"}
    for op in operations:
        row = tables.conversations.get(op.conversation)
        if op.kind == "delete" and op.outcome == "ok" and row and not row.deleted:
            report.break_promise("resurrected", op.name, f"{row.id} was deleted, and is there")
    for row in tables.conversations.values():
        op_of_row = asked.get(row.id)
        if row.deleted and (op_of_row is None or op_of_row.outcome == "refused"):
            report.break_promise("lost", str(row.id), "deleted, though nobody asked for it")


def _check_titles(operations: Iterable[Operation], tables: Tables, report: Report) -> None:
    renames: dict[int, list[Operation]] = defaultdict(list)
    for op in operations:
        if op.kind == "rename":
            renames[op.conversation].append(op)
    for conversation, ops in renames.items():
        row = tables.conversations.get(conversation)
        done = [op for op in ops if op.outcome == "ok"]
        if row is None or row.deleted or not done:
            continue
        last = max(done, key=lambda op: op.entry)
        allowed = {last.name} | {op.name for op in ops if op.outcome == "unknown"}
        if not any(f"#{name}#" in (row.title or "") for name in allowed):
            report.break_promise("title", last.name, f"{conversation} is called {row.title!r}")
