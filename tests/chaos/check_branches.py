"""Checks on conversations that were changed: what is stored is what their entries make of them.

The log's ids say in which order entries were accepted, so what is known of a conversation can be
replayed (`lines.Line`). Where the outcome of a change is unknown it cannot: then every message must
still be somewhere, once, unless something may have been cut off for good.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from api.core.ids import PARTITIONS
from tests.chaos.history import LAST
from tests.chaos.lines import Line
from tests.chaos.operations import Operation, batches
from tests.chaos.tables import MessageRow, Tables, digest
from tests.chaos.verdicts import Report

#: Changes of one message; its place stays.
EDITS: Final = frozenset({"remove", "put"})
CHANGES: Final = frozenset({"truncate", "switch", *EDITS})
_ADDS: Final = frozenset({"message", "turn", "poison"})
_EMPTY: Final = digest("")


@dataclass(slots=True)
class Changed:
    """One conversation that was changed, copied, or written to with `If-Last`."""

    #: The outcome of each change is known.
    is_sure: bool = True
    #: Something may have been cut off for good.
    may_drop: bool = False
    #: When the first change was sent that moves messages; None where none was.
    moved_at: float | None = None
    is_copy: bool = False
    line: Line = field(default_factory=Line)

    def may_lack(self, message: int) -> bool:
        """Tell whether it may be nowhere, as promised; 0 stands for an unknown id."""
        return message in self.line.dropped if self.is_sure and message else self.may_drop


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed in all conversations."""

    of: Mapping[int, Changed]
    #: Messages whose text may be another one than was first written.
    edited: frozenset[int]


def moves(op: Operation) -> bool:
    """Tell whether an operation takes messages away or brings them back."""
    return op.kind in {"truncate", "switch"} or (op.kind == "turn" and op.target != 0)


def check(
    operations: Mapping[str, Operation], tables: Tables, report: Report, *, losses_allowed: bool
) -> Changes:
    """Judge what was changed, and return it. With `losses_allowed` nothing is replayed."""
    done = [op for op in operations.values() if op.outcome != "refused"]
    report.changes = sum(
        op.outcome == "ok" and (op.kind in CHANGES or op.kind == "fork" or moves(op)) for op in done
    )
    found = _Replays(done, tables, report, losses_allowed=losses_allowed).of_all()
    edits: dict[int, list[Operation]] = defaultdict(list)
    for op in done:
        if op.kind in EDITS:
            edits[op.target].append(op)
    if not losses_allowed:
        _check_edits(edits, tables, report)
    return Changes(found, frozenset(edits))


def _check_edits(edits: Mapping[int, list[Operation]], tables: Tables, report: Report) -> None:
    """See that each message says what its last accepted edit made of it."""
    rows = {row.id: row for row in (*tables.messages, *tables.aside)}
    for message, ops in edits.items():
        row, known = rows.get(message), [op for op in ops if op.outcome == "ok"]
        if row is None or not known:
            continue
        last = max(known, key=lambda op: op.entry)
        allowed = {_made(op) for op in ops if op is last or op.outcome == "unknown"}
        if row.digest not in allowed:
            report.break_promise("corrupt", str(message), f"is not what {last.name} made of it")


def _made(op: Operation) -> str:
    return _EMPTY if op.kind == "remove" else op.digest


class _Replays:
    """Replays conversations, sources before their copies."""

    def __init__(
        self, done: Sequence[Operation], tables: Tables, report: Report, *, losses_allowed: bool
    ) -> None:
        self._tables = tables
        self._report = report
        self._losses_allowed = losses_allowed
        self._ops: dict[int, list[Operation]] = defaultdict(list)
        for op in done:
            self._ops[op.conversation].append(op)
        self._rows: dict[int, list[MessageRow]] = defaultdict(list)
        for row in (*tables.messages, *tables.aside):
            self._rows[row.conversation].append(row)
        self._copies: dict[int, list[int]] = defaultdict(list)
        for one in tables.conversations.values():
            if one.forked_at:
                self._copies[one.forked_from].append(one.id)
        #: What the source of a copy showed when it was made.
        self._copied: dict[int, list[_Added]] = {}

    def of_all(self) -> dict[int, Changed]:
        """Replay all that is of interest: a copy's id is above its source's."""
        wanted = {of for of, ops in self._ops.items() if any(map(_is_of_interest, ops))}
        wanted |= self._copies.keys() | {c for made in self._copies.values() for c in made}
        return {conversation: self._of(conversation) for conversation in sorted(wanted)}

    def _of(self, conversation: int) -> Changed:
        ops, row = self._ops[conversation], self._tables.conversations.get(conversation)
        changed = Changed(
            may_drop=any(op.kind == "truncate" and not op.keep for op in ops),
            moved_at=min((op.invoked for op in ops if moves(op)), default=None),
            is_copy=row is not None and row.forked_at > 0,
        )
        if row is None or row.deleted or self._losses_allowed:
            changed.is_sure = False
            return changed
        stored = {one.id: one for one in self._rows[conversation]}
        changed.is_sure = not any(_is_unclear(op, stored) for op in ops)
        if changed.is_copy and conversation not in self._copied:
            changed.is_sure = False
        replay = _Replay(changed.line, self._report)
        steps = [*self._adds(conversation, ops, stored), *self._forks(conversation)]
        steps += [(_begins(op), op) for op in ops if moves(op) and op.entries]
        if changed.is_sure:
            # An entry is checked before it is applied.
            checked = [(op.entry, _Check(op)) for op in _with_if_last(ops)]
            for entry, step in sorted([*checked, *steps], key=lambda one: one[0]):
                replay.take(entry, step, self._copied)
            changed.is_sure = replay.is_sure
        if changed.is_sure:
            self._report.replayed += 1
            self._compare(conversation, changed.line, stored)
        return changed

    def _adds(
        self, conversation: int, ops: Sequence[Operation], stored: Mapping[int, MessageRow]
    ) -> Iterator[tuple[int, "_Step"]]:
        """Yield what was added: copied, or stored, or acknowledged and not stored."""
        for place, copied in enumerate(self._copied.get(conversation, ()), 1):
            yield conversation + PARTITIONS * place, copied
        removed = {op.target: op.about for op in ops if op.kind == "remove"}
        for row in stored.values():
            if not self._tables.is_copy(row):
                yield row.id, _Added(row.op or removed.get(row.id, ""), row.role)
        for op in ops:
            if op.kind in _ADDS and not _is_kept(op, stored):
                role = "user" if op.kind == "turn" else op.role
                yield from ((e, _Added(op.about or op.name, role)) for e in op.entries)
            if op.kind == "turn":
                absent = op.replies - stored.keys()
                # An answer quotes the question, which may be that of an earlier turn.
                yield from ((e, _Added(op.about or op.name, "assistant")) for e in absent)
        yield from _with_neighbours(ops, stored)
        # What somebody saw and named was there.
        seen = {op.target for op in ops if moves(op) and op.kind != "switch" and op.entries}
        seen |= {op.if_last for op in ops if op.entries}
        known = {*stored, *(entry for op in ops for entry in op.entries | op.replies)}
        first = conversation + PARTITIONS * len(self._copied.get(conversation, ()))
        yield from ((e, _Added("", "")) for e in seen - known if e > first)

    def _forks(self, conversation: int) -> Iterator[tuple[int, "_Step"]]:
        if self._of_any_length(conversation):
            return
        for copy in self._copies[conversation]:
            at = self._tables.conversations[copy].forked_at
            yield copy + PARTITIONS * at, _Fork(copy, at)

    def _of_any_length(self, conversation: int) -> bool:
        """Tell whether there may have been messages that are gone, and nobody knows of."""
        ops = self._ops[conversation]
        may_drop = any(op.kind == "truncate" and not op.keep for op in ops)
        marks = {row.op for row in self._rows[conversation]}
        unknown = (op for op in ops if op.kind in _ADDS and not op.entries)
        half = (op for op in ops if op.kind == "turn" and not op.replies)
        return may_drop and any(op.name not in marks for op in (*unknown, *half))

    def _compare(self, conversation: int, line: Line, stored: Mapping[int, MessageRow]) -> None:
        branches = dict.fromkeys(line.shown, 0)
        branches |= {one: where.branch for one, where in line.aside.items()}
        for message, row in stored.items():
            due = branches.get(message)
            if due != row.branch:
                where = f"{row.branch or 'in the conversation'}, not {_named(due)}"
                what = f"{message} of {conversation}"
                self._report.break_promise("misplaced", what, f"it is {where}")
        for place, copied in enumerate(self._copied.get(conversation, ()), 1):
            message, what = conversation + PARTITIONS * place, f"copy {place} in {conversation}"
            copy = stored.get(message)
            if copy is None and message in branches:
                self._report.break_promise("lost", what, copied.op)
            elif copy is not None and copy.op not in {"", copied.op} and copied.op:
                self._report.break_promise("corrupt", what, f"{copy.op}, not {copied.op}")


@dataclass(frozen=True, slots=True)
class _Added:
    """A message, by whose mark it carries."""

    op: str
    role: str


@dataclass(frozen=True, slots=True)
class _Fork:
    """A copy was made up to a position."""

    conversation: int
    position: int


@dataclass(frozen=True, slots=True)
class _Check:
    """An entry with `If-Last`, before it is applied."""

    op: Operation


_Step = _Added | _Fork | _Check | Operation


class _Replay:
    """One conversation, entry after entry."""

    def __init__(self, line: Line, report: Report) -> None:
        self._line = line
        self._report = report
        self._added: dict[int, _Added] = {}
        self.is_sure = True

    def take(self, entry: int, step: _Step, copied: dict[int, list[_Added]]) -> None:
        """Take one step."""
        line = self._line
        match step:
            case _Added():
                line.add(entry)
                self._added[entry] = step
            case _Fork():
                copied[step.conversation] = [self._added[m] for m in line.shown[: step.position]]
            case _Check():
                if line.last != step.op.if_last:
                    detail = f"after {step.op.if_last}, but {line.last} was the last message"
                    self._report.break_promise("raced", step.op.name, detail)
            case Operation(kind="switch"):
                line.switch(entry, step.target)
            case Operation(kind="truncate"):
                line.cut(entry, step.target, keep=step.keep)
            case Operation():
                replaced = self._replaced(step)
                self.is_sure = self.is_sure and replaced != 0
                line.cut(entry, replaced, keep=True)

    def _replaced(self, turn: Operation) -> int:
        """Return what a turn replaces: of the user's messages with a text one at most is shown."""
        if turn.target != LAST:
            return turn.target
        replaced = _Added(turn.about, "user")
        return next((one for one in self._line.shown if self._added[one] == replaced), 0)


def _is_of_interest(op: Operation) -> bool:
    return op.kind in CHANGES or moves(op) or op.if_last >= 0


def _is_unclear(op: Operation, stored: Mapping[int, MessageRow]) -> bool:
    """Tell whether it is unknown what an operation did, or when."""
    if moves(op):
        return len(op.entries) != 1 or (op.target == LAST and not op.about)
    # One that was added before with its external id is not added again under its new id.
    is_repeated = op.external and op.attempts > 1
    return is_repeated and not any(row.op == op.name for row in stored.values())


def _is_kept(op: Operation, stored: Mapping[int, MessageRow]) -> bool:
    if op.entries & stored.keys():
        return True
    return op.external and any(row.op == op.name for row in stored.values())


def _with_neighbours(
    ops: Iterable[Operation], stored: Mapping[int, MessageRow]
) -> Iterator[tuple[int, "_Step"]]:
    """Yield messages that are not stored and of unknown outcome, where others of a batch are."""
    marks = {row.op: row.id for row in stored.values()}
    for members in batches(op for op in ops if not op.entries).values():
        known = [
            marks[op.name] - PARTITIONS * at for at, op in enumerate(members) if op.name in marks
        ]
        for at, op in enumerate(members if known else ()):
            if op.name not in marks:
                yield known[0] + PARTITIONS * at, _Added(op.name, op.role)


def _begins(op: Operation) -> int:
    """Return the entry that moved messages: a turn cuts by one of its own, just before it."""
    return op.entry - PARTITIONS if op.kind == "turn" else op.entry


def _with_if_last(ops: Iterable[Operation]) -> Iterator[Operation]:
    """Yield accepted operations with `If-Last`; of a batch its first message."""
    batches: dict[str, Operation] = {}
    for op in ops:
        if op.if_last < 0 or len(op.entries) != 1:
            continue
        first = batches.setdefault(op.batch or op.name, op)
        if op.entry < first.entry:
            batches[op.batch] = op
    yield from batches.values()


def _named(branch: int | None) -> str:
    if branch is None:
        return "gone"
    return f"in branch {branch}" if branch else "in the conversation"
