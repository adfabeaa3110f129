"""Checks on messages: each is there once, whole, in its place, and nothing else is."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from tests.chaos.check_branches import Changes
from tests.chaos.history import LAST, Outcome
from tests.chaos.operations import Operation
from tests.chaos.tables import DeadRow, MessageRow, Tables
from tests.chaos.verdicts import Report, Verdict

WRITE_MESSAGES: Final = frozenset({"message", "turn", "poison"})
#: What the log remembers of a conversation for the assistant (api/core/lua/conversations.lua).
_TURNS_MOST: Final = 20
_TURNS_MOST_BYTES: Final = 16_384
_TURN_LINE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class _Sent:
    """One message that somebody meant to write: a turn means two."""

    op: Operation
    role: str
    outcome: Outcome
    entries: frozenset[int]
    digest: str
    shown: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.op.name} ({self.role})"


class _Stored:
    """The stored messages, by what they can be recognized by."""

    def __init__(self, tables: Tables, operations: Iterable[Operation]) -> None:
        rows = tables.everywhere
        self.by_id = {row.id: row for row in rows}
        again = [op for op in operations if op.target == LAST and op.outcome != "refused"]
        #: Messages that were asked again, and their answers: they carry the mark of the first one.
        self._again = {entry for op in again for entry in op.entries | op.replies}
        #: Conversations that have others, whose ids are unknown.
        self.unclear = {op.conversation for op in again if not op.entries or not op.replies}
        #: Copies among them: there a question that was asked again has the mark of its source's.
        self._unclear_copies = {
            one.id
            for one in tables.conversations.values()
            if one.forked_from and one.id in self.unclear
        }
        # By payload too: words that were given a known id are dead under another message's id.
        self._dead = {(row.entry, row.digest): row for row in tables.dead}
        self._dead_entries: dict[str, set[int]] = defaultdict(set)
        for letter in tables.dead:
            self._dead_entries[letter.digest].add(letter.entry)
        self.conversations = tables.conversations
        self._by_mark: dict[tuple[str, str], list[MessageRow]] = defaultdict(list)
        #: Answers that end before their mark, by conversation.
        self._unmarked: dict[int, list[MessageRow]] = defaultdict(list)
        removed = {op.target: op.about for op in operations if op.kind == "remove"}
        for row in rows:
            if row.id in self._again:
                continue
            if mark := row.op or (row.status == "deleted" and removed.get(row.id)):
                self._by_mark[mark, row.role].append(row)
            elif row.status == "interrupted":
                self._unmarked[row.conversation].append(row)

    def of(self, sent: _Sent) -> list[MessageRow]:
        """Return the rows that carry this message's mark, or no text and its id.

        Where no answer told its id, its dead letter does: no two messages have the same text.
        """
        if sent.op.target == LAST:
            return [self.by_id[entry] for entry in sent.entries if entry in self.by_id]
        rows = [
            row
            for row in self._by_mark.get((sent.op.name, sent.role), ())
            if row.conversation == sent.op.conversation
            or row.conversation not in self._unclear_copies
            or row.id in sent.entries
        ]
        if len(rows) > 1 and sent.op.conversation in self.unclear:
            rows = [r for r in rows if r.id in sent.entries] or rows[:1]
        dead = self._dead_entries.get(sent.digest, set()) if sent.digest else set()
        silent = (self.by_id.get(entry) for entry in sent.entries | dead)
        rows += [r for r in silent if r is not None and not r.op and r not in rows]
        is_answer = sent.op.kind == "turn" and sent.role == "assistant"
        # One whose id was told is that row, or is gone: it was cut off.
        if not rows and is_answer and sent.outcome != "refused" and not sent.entries:
            rows += self._take_unmarked(sent)
        return rows

    def _take_unmarked(self, sent: _Sent) -> Iterator[MessageRow]:
        """Yield an answer that ends before its mark, and may be this one."""
        unmarked = self._unmarked[sent.op.conversation]
        for row in unmarked:
            if row.id > sent.op.entry and all(row.start.startswith(s) for s in sent.shown):
                unmarked.remove(row)
                yield row
                return

    def dead_letter_of(self, sent: _Sent, entry: int) -> DeadRow | None:
        """Return the dead letter that this message became."""
        return self._dead.get((entry, sent.digest))


def check(
    operations: Mapping[str, Operation], tables: Tables, changes: Changes, report: Report
) -> None:
    """Judge every message that was sent and every row that is stored."""
    stored = _Stored(tables, operations.values())
    gone = {op.conversation for op in operations.values() if _may_have_deleted(op)}
    gone &= {row.id for row in tables.conversations.values() if row.deleted}
    misplaced = set(_misplaced(operations, tables.messages, changes, report))
    claimed: set[int] = set()
    # Those of which most was shown first: an answer without a mark may be any other's, too.
    for sent in sorted(_all_sent(operations.values()), key=_shown_length, reverse=True):
        rows = stored.of(sent)
        claimed.update(row.id for row in rows)
        if any(row.id in misplaced for row in rows):
            report.verdicts["reordered"] += 1
        else:
            gone_too = sent.op.conversation in gone
            report.judge(*_judge(sent, rows, stored, changes, gone=gone_too))
    _check_misfits(operations.values(), tables, report)
    for row in stored.by_id.values():
        if row.id in claimed or row.conversation in stored.unclear:
            continue
        if row.status == "interrupted" and not row.op and _follows_turn(row, operations.values()):
            report.judge("doubled", str(row.id), "a turn was answered again, with what was left")
        else:
            report.judge("ghost", str(row.id), f"nobody wrote this row ({row.op or 'no mark'})")


def _follows_turn(row: MessageRow, operations: Iterable[Operation]) -> bool:
    """Return whether a turn of its conversation had been sent that may have left this answer."""
    return any(
        op.kind == "turn" and op.conversation == row.conversation and op.entry < row.id
        for op in operations
    )


def _all_sent(operations: Iterable[Operation]) -> Iterator[_Sent]:
    for op in operations:
        if op.kind not in WRITE_MESSAGES:
            continue
        role = "user" if op.kind == "turn" else op.role
        yield _Sent(op, role, op.outcome, frozenset(op.entries), op.digest)
        if op.kind == "turn":
            yield _reply_of(op)


def _shown_length(sent: _Sent) -> int:
    return max(map(len, sent.shown), default=0)


def _reply_of(op: Operation) -> _Sent:
    """Return a turn's answer. Once its first word was shown it is promised, as if it had come."""
    outcome = op.outcome
    if outcome == "ok" and not op.replies and (op.pending or not op.shown):
        outcome = "unknown"
    replies, shown = frozenset(op.replies), frozenset(op.shown)
    return _Sent(op, "assistant", outcome, replies, op.reply_digest, shown)


def _may_have_deleted(op: Operation) -> bool:
    return op.kind == "delete" and op.outcome != "refused"


def _judge(
    sent: _Sent, rows: Sequence[MessageRow], stored: _Stored, changes: Changes, *, gone: bool
) -> tuple[Verdict, str, str]:
    if len(rows) > 1 or (len(sent.entries) > 1 and not sent.op.external):
        return "doubled", sent.name, f"rows {[r.id for r in rows]}, told {sorted(sent.entries)}"
    if not rows:
        return _judge_missing(sent, stored, changes, gone=gone)
    if sent.outcome == "refused":
        return "ghost", sent.name, f"it was refused, and is row {rows[0].id}"
    verdict, detail = _judge_row(sent, rows[0], changes)
    return verdict, sent.name, f"row {rows[0].id} {detail}"


def _judge_missing(
    sent: _Sent, stored: _Stored, changes: Changes, *, gone: bool
) -> tuple[Verdict, str, str]:
    if sent.outcome != "ok":
        return ("refused" if sent.outcome == "refused" else "absent"), sent.name, ""
    entry = next(iter(sent.entries), 0)
    is_poison = sent.op.kind == "poison"
    dead = stored.dead_letter_of(sent, entry)
    if taken := stored.by_id.get(entry):
        return "corrupt", sent.name, f"row {entry} says {taken.op} ({taken.role})"
    # The assistant quotes poison; what was refused for that had its second chance (`dead redrive`).
    is_settled = dead and dead.settled and dead.reason == "refused"
    if gone and (is_poison or not dead or is_settled):
        return "deleted", sent.name, ""
    changed = changes.of.get(sent.op.conversation)
    if changed is not None and changed.may_lack(entry):
        return "cut", sent.name, ""
    if dead and not is_poison:
        return "buried", sent.name, dead.reason
    where = f"{entry or 'shown'} in conversation {sent.op.conversation}"
    return "lost", sent.name, f"{where}, dead without a place" if dead else where


def _judge_row(sent: _Sent, row: MessageRow, changes: Changes) -> tuple[Verdict, str]:
    op = sent.op
    if (row.conversation, row.user) != (op.conversation, op.user):
        return "foreign", f"is in {row.conversation} of user {row.user}"
    if row.status == "unavailable":
        return ("dead" if op.kind == "poison" else "buried"), "has no text"
    return _judge_text(sent, row, changes)


def _judge_text(sent: _Sent, row: MessageRow, changes: Changes) -> tuple[Verdict, str]:
    op = sent.op
    # Once the log has forgotten an external id, what repeats it is accepted, and not added.
    if sent.entries and row.id not in sent.entries and not (op.external and op.attempts > 1):
        return "corrupt", f"was answered as {sorted(sent.entries)}"
    if row.id in changes.edited:
        return ("removed" if row.status == "deleted" else "stored"), "was edited"
    if sent.digest and row.digest != sent.digest:
        return "corrupt", "has another text"
    if not all(row.start.startswith(shown) for shown in sent.shown):
        return "corrupt", "lacks words that were shown"
    return ("recovered" if sent.outcome == "unknown" else "stored"), ""


def _check_misfits(operations: Iterable[Operation], tables: Tables, report: Report) -> None:
    """Find words that had the id of others, and were dropped."""
    kept = {(row.entry, row.digest) for row in tables.dead}
    deleted = {row.id for row in tables.conversations.values() if row.deleted}
    for op in operations:
        if op.kind != "misfit" or op.conversation in deleted:
            continue
        if (op.entry, op.digest) in kept:
            report.judge("dead", op.name)
        else:
            report.judge("lost", op.name, f"another message has its id, {op.entry}")


def _misplaced(
    operations: Mapping[str, Operation],
    rows: Sequence[MessageRow],
    changes: Changes,
    report: Report,
) -> Iterator[int]:
    """Yield rows that stand before one they must follow."""
    by_entry = {
        entry: op
        for op in operations.values()
        if op.kind in WRITE_MESSAGES
        for entry in op.entries | op.replies
    }
    by_conversation: dict[int, list[MessageRow]] = defaultdict(list)
    for row in rows:
        by_conversation[row.conversation].append(row)
    for conversation, members in by_conversation.items():
        members.sort(key=lambda row: row.position)
        changed = changes.of.get(conversation)
        was_moved = changed is not None and (changed.moved_at is not None or changed.is_copy)
        # A message that was copied or asked again has its first author's mark.
        marks: Mapping[str, Operation] = {} if was_moved else operations
        authors = [by_entry.get(row.id) or marks.get(row.op) for row in members]
        earliest_answer, lowest_id = inf, inf
        for row, op in zip(reversed(members), reversed(authors), strict=True):
            begun = op.invoked if op else -inf
            if row.id > lowest_id or earliest_answer < begun:
                what = f"{row.id} at position {row.position} of {conversation}"
                report.break_promise("reordered", what, "what came before it stands after it")
                yield row.id
            lowest_id = min(lowest_id, row.id)
            earliest_answer = min(earliest_answer, _answered(row, op))
        if not was_moved:
            _check_memory(members, authors, changes.edited, report)


def _answered(row: MessageRow, op: Operation | None) -> float:
    """Return when somebody was told of this row: of a turn's answer, once it came whole."""
    if op is None:
        return inf
    return op.replied if op.kind == "turn" and row.role == "assistant" else op.answered


def _check_memory(
    members: Sequence[MessageRow],
    authors: Sequence[Operation | None],
    edited: Collection[int],
    report: Report,
) -> None:
    """Find answers that were given with holes in what the assistant remembered.

    None remembered, or nothing newer than a certain message, is allowed: while PostgreSQL is down
    or behind, a turn that the log has forgotten goes on with what there is. A repeated turn
    may find that the conversation went on. Poison that was redriven since had no text then. What
    was edited may have been so long that nothing before it was remembered.
    """
    places = {row.op: at for at, row in enumerate(members) if row.role == "user" and row.op}
    for at, (row, op) in enumerate(zip(members, authors, strict=True)):
        if op is None or op.kind != "turn" or row.role != "user" or op.attempts > 1:
            continue
        last = places.get(op.last)
        if op.remembered <= 0 or last is None:
            continue
        oldest = at - sum(1 for _ in _within_memory(members[:at], edited))
        before = slice(oldest, last + 1)
        due = sum(
            earlier.role == "user"
            and earlier.status != "unavailable"
            and not (author and author.kind == "poison")
            for earlier, author in zip(members[before], authors[before], strict=True)
        )
        if op.remembered < due:
            detail = f"remembered {op.remembered} up to {op.last}, there were {due}"
            report.break_promise("forgotten", op.name, detail)


def _within_memory(earlier: Sequence[MessageRow], edited: Collection[int]) -> Iterator[MessageRow]:
    """Yield what must be remembered, newest first."""
    held = 0
    # Of the 20, one may be the new message itself.
    for row in reversed(earlier[-(_TURNS_MOST - 1) :]):
        held += row.size + _TURN_LINE_BYTES
        if held > _TURNS_MOST_BYTES or row.id in edited:
            return
        yield row
