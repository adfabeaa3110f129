"""What the checker says: a verdict for every message, and every promise that was broken."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

Verdict = Literal[
    "stored", "recovered", "absent", "refused", "deleted", "dead", "removed", "cut",  # as promised
    "lost", "doubled", "reordered", "foreign", "corrupt", "ghost", "buried",
]  # fmt: skip
#: Broken promises, beside the verdicts in `BAD`:
#: gap: positions are not 1 to n. shrunk: a read shows less than an earlier one. stale: a read does
#: not show what it was asked to wait for. resurrected: a deleted conversation is there. torn: a
#: batch is there in part, or not in one piece. misplaced: a message is elsewhere than the accepted
#: entries, one after the other, put it: in the conversation, aside, or nowhere. raced: a write was
#: accepted though the message that its If-Last names was not the last one. forgotten: an answer was
#: given without the turns before it. title: not the last rename's. opened: a write was answered 2xx
#: while the log had to be shut. unbalanced: the audit. stuck: no healing. uncivil: an answer with
#: the wrong form (503 without Retry-After, a 500). slow: overload made what was admitted wait.
#: misfound: a search finds what is gone or was said otherwise, or does not find what is there.
#: full: overload filled the log's memory beyond its mark. blind: no promise of the system's, but a
#: fault that the tester took for dealt and that never happened.
BAD: Final = frozenset({"lost", "doubled", "reordered", "foreign", "corrupt", "ghost", "buried"})


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise."""

    kind: str
    subject: str
    detail: str


@dataclass(slots=True)
class Report:
    """The outcome of a check."""

    verdicts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    acknowledged: int = 0  #: messages that were answered 2xx; a chat turn is two
    changes: int = 0  #: edits, cuts, switches and copies that were answered 2xx
    replayed: int = 0  #: conversations of which every change is known
    reads: int = 0
    rows_read: int = 0

    def judge(self, verdict: Verdict, subject: str, detail: str = "") -> None:
        """Give one message its verdict."""
        self.verdicts[verdict] += 1
        if verdict in BAD:
            self.break_promise(verdict, subject, detail)

    def break_promise(self, kind: str, subject: str, detail: str) -> None:
        """Note a broken promise."""
        self.violations.append(Violation(kind, subject, detail))

    @property
    def kinds(self) -> Counter[str]:
        """Broken promises by kind."""
        return Counter(violation.kind for violation in self.violations)
