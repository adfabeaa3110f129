"""Operations: the attempts of each, folded into what its author may rely on."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from tests.chaos.history import Answered, Event, Invoked, Kind, Outcome


@dataclass(slots=True)
class Operation:
    """One write, however often it was sent."""

    name: str
    kind: Kind
    user: int
    conversation: int
    role: str
    digest: str
    invoked: float  #: its first attempt
    answered: float = inf  #: the first 2xx
    replied: float = inf  #: the first one with a turn's whole answer
    entries: set[int] = field(default_factory=set)
    replies: set[int] = field(default_factory=set)
    reply_digest: str = ""
    remembered: int = -1
    last: str = ""
    shown: set[str] = field(default_factory=set)  #: beginnings of a streamed answer
    attempts: int = 0
    open_attempts: int = 0
    unknown: bool = False
    batch: str = ""
    external: bool = False
    if_last: int = -1
    target: int = 0
    keep: bool = False
    about: str = ""
    pending: bool = False  #: its answer is still to be stored

    @property
    def outcome(self) -> Outcome:
        """What is known: a single 2xx settles it, and so does nothing but refusals."""
        if self.entries:
            return "ok"
        return "unknown" if self.unknown or self.open_attempts else "refused"

    @property
    def entry(self) -> int:
        """Its id; 0 where none is known."""
        return min(self.entries, default=0)

    @property
    def reply(self) -> int:
        """The id of a turn's answer; 0 where none is known."""
        return min(self.replies, default=0)


def fold(events: Iterable[Event]) -> dict[str, Operation]:
    """Return every operation by name. An attempt without an answer has an unknown outcome.

    Histories come from several processes: an answer may be read before its question.
    """
    operations: dict[str, Operation] = {}
    answers: list[Answered] = []
    for event in events:
        if isinstance(event, Invoked):
            _invoke(operations, event)
        elif isinstance(event, Answered):
            answers.append(event)
    for answer in answers:
        _answer(operations[answer.op], answer)
    return operations


def batches(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Return the messages of each batch, in the order that they were sent in."""
    found: dict[str, list[Operation]] = defaultdict(list)
    for op in operations:
        if op.batch:
            found[op.batch].append(op)
    return found


def _invoke(operations: dict[str, Operation], event: Invoked) -> None:
    known = operations.get(event.op)
    if known is None:
        known = operations[event.op] = Operation(
            event.op,
            event.kind,
            event.user,
            event.conversation,
            event.role,
            event.digest,
            event.at,
            batch=event.batch,
            external=event.external,
            if_last=event.if_last,
            target=event.target,
            keep=event.keep,
            about=event.about,
        )
    known.invoked = min(known.invoked, event.at)
    known.attempts += 1
    known.open_attempts += 1


def _answer(operation: Operation, event: Answered) -> None:
    if event.pending:
        operation.pending = True
        return
    operation.open_attempts -= 1
    if event.outcome == "unknown":
        operation.unknown = True
    if event.outcome != "ok":
        return
    operation.answered = min(operation.answered, event.at)
    operation.entries.add(event.entry)
    if event.conversation:
        operation.conversation = event.conversation
    if event.reply:
        operation.replied = min(operation.replied, event.at)
        operation.replies.add(event.reply)
        operation.reply_digest = event.reply_digest
    if event.shown:
        operation.shown.add(event.shown)
    operation.about = operation.about or event.about
    if event.remembered >= 0:
        operation.remembered, operation.last = event.remembered, event.last
