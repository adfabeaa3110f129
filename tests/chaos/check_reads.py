"""Checks on reads: gapless prefixes that never shrink, of nobody else's, and none too early."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import inf

from tests.chaos.check_branches import Changed, Changes
from tests.chaos.history import Listed, Polled, Row
from tests.chaos.operations import Operation
from tests.chaos.tables import MessageRow, Tables
from tests.chaos.verdicts import Report


def check(
    operations: Mapping[str, Operation],
    tables: Tables,
    changes: Changes,
    polls: Sequence[Polled],
    lists: Sequence[Listed],
    report: Report,
) -> None:
    """Judge every page that was read."""
    deletes: dict[int, list[Operation]] = defaultdict(list)
    for op in operations.values():
        if op.kind == "delete" and op.outcome != "refused":
            deletes[op.conversation].append(op)
    rows: dict[int, list[MessageRow]] = defaultdict(list)
    for row in (*tables.messages, *tables.aside):
        rows[row.conversation].append(row)
    by_conversation: dict[int, list[Polled]] = defaultdict(list)
    for poll in polls:
        by_conversation[poll.conversation].append(poll)
    missing_since: dict[int, float] = {}
    for conversation, of_one in by_conversation.items():
        changed = changes.of.get(conversation, Changed())
        stored = rows[conversation]
        kind = _Moved if changed.moved_at is not None or changed.is_copy else _Conversation
        checks = kind(conversation, operations, stored, report, changed, changes.edited)
        missing_since[conversation] = checks.check(of_one, deletes[conversation])
    _check_lists(tables, lists, missing_since, report)


class _Conversation:
    """The reads of one conversation."""

    def __init__(
        self,
        conversation: int,
        operations: Mapping[str, Operation],
        rows: Sequence[MessageRow],
        report: Report,
        changed: Changed,
        edited: AbstractSet[int],
    ) -> None:
        self._conversation = conversation
        self._changed = changed
        self._edited = edited
        self._operations = operations
        self._stored = {row.position: row for row in rows if not row.branch}
        self._by_id = {row.id: row for row in rows}
        self._report = report
        self._seen: dict[int, Row] = {}

    def check(self, polls: Sequence[Polled], deletes: Sequence[Operation]) -> float:
        """Check all reads; return when the first of those ended that found it deleted."""
        self._check_never_shrinks(polls)
        for poll in polls:
            self._report.reads += 1
            self._report.rows_read += sum(last - first + 1 for first, last in poll.shown)
            if poll.found:
                self._check_page(poll)
            elif not any(op.invoked < poll.ended for op in deletes):
                self._break("lost", "404, and nobody had deleted it", poll)
            self._check_waited(poll, deletes)
        return min((poll.ended for poll in polls if not poll.found), default=inf)

    def _check_never_shrinks(self, polls: Sequence[Polled]) -> None:
        """Compare each read with all that had ended when it began."""
        ended = sorted(polls, key=lambda poll: poll.ended)
        most, missing, next_ended = 0, False, 0
        for poll in sorted(polls, key=lambda poll: poll.began):
            while next_ended < len(ended) and ended[next_ended].ended < poll.began:
                earlier = ended[next_ended]
                most, missing = max(most, earlier.total), missing or not earlier.found
                next_ended += 1
            if poll.found and missing:
                self._break("resurrected", "it was gone before", poll)
            if poll.found and poll.total < most and not self._was_moved(poll):
                self._break("shrunk", f"{poll.total} messages, {most} before", poll)

    def _check_page(self, poll: Polled) -> None:
        first, last = poll.asked
        last = min(last, poll.total)
        wanted = ((first, last),) if first <= last else ()
        if poll.shown != wanted:
            self._break("gap", f"asked for {wanted}, shown {poll.shown}", poll)
        for row in poll.news:
            self._check_row(row, poll)

    def _check_row(self, row: Row, poll: Polled) -> None:
        author = self._operations.get(row.op)
        if row.op and (author is None or author.conversation != self._conversation):
            kind = "foreign" if author else "ghost"
            self._break(kind, f"position {row.position} says {row.op}", poll)
            return
        stored = self._stored.get(row.position)
        known = self._seen.setdefault(row.position, row)
        if stored is None:
            stored_id, stored_digest = known.id, known.digest
        else:
            stored_id, stored_digest = stored.id, stored.digest
        # A dead message has no text, before it is driven again or for ever.
        silent = row.status == "unavailable" or (stored and stored.status == "unavailable")
        if row.id != stored_id:
            detail = f"position {row.position} was {row.id}, is {stored_id}"
            self._break("reordered", detail, poll)
        elif row.digest != stored_digest and not (
            silent or known.status == "unavailable" or row.id in self._edited
        ):
            self._break("corrupt", f"position {row.position} reads differently", poll)

    def _was_moved(self, poll: Polled) -> bool:
        """Tell whether messages may have been taken away before a read ended."""
        moved_at = self._changed.moved_at
        return moved_at is not None and moved_at < poll.ended

    def _check_waited(self, poll: Polled, deletes: Sequence[Operation]) -> None:
        """Check that a read shows everything up to the entry that it was to wait for."""
        if not poll.read_after or not poll.found:
            return
        if any(0 < op.entry <= poll.read_after for op in deletes):
            self._break("resurrected", f"read after {poll.read_after}, its deletion", poll)
        due = (row.position for row in self._stored.values() if row.id <= poll.read_after)
        if poll.total < max(due, default=0) and not self._was_moved(poll):
            self._break("stale", f"{poll.total} messages after {poll.read_after}", poll)

    def _break(self, kind: str, detail: str, poll: Polled) -> None:
        subject = f"conversation {self._conversation} read at {poll.began:.3f}"
        self._report.break_promise(kind, subject, detail)


class _Moved(_Conversation):
    """One whose messages are not where they were, or were copied from another one."""

    def _check_row(self, row: Row, poll: Polled) -> None:
        author = self._operations.get(row.op)
        if row.op and (author is None or author.user != poll.user):
            kind = "foreign" if author else "ghost"
            self._break(kind, f"position {row.position} says {row.op}", poll)
            return
        known = self._seen.setdefault(row.id, row)
        stored = self._by_id.get(row.id)
        digests = {one.digest for one in (row, known, stored) if one and _has_text(one)}
        if len(digests) > 1 and row.id not in self._edited:
            self._break("corrupt", f"message {row.id} reads differently", poll)


def _has_text(row: Row | MessageRow) -> bool:
    return row.status != "unavailable"


def _check_lists(
    tables: Tables, lists: Sequence[Listed], missing_since: Mapping[int, float], report: Report
) -> None:
    for page in lists:
        report.reads += 1
        for conversation in page.conversations:
            row = tables.conversations.get(conversation)
            subject = f"list of user {page.user} read at {page.began:.3f}"
            if row is not None and row.user != page.user:
                report.break_promise("foreign", subject, f"{conversation} is user {row.user}'s")
            if missing_since.get(conversation, inf) < page.began:
                report.break_promise("resurrected", subject, f"{conversation} was gone before")
