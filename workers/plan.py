"""What becomes of each entry of a batch. Decided here, in memory; `workers.batch` writes it.

Every rule is one of order: a plan goes through each partition's entries as the log has them, and
keeps in mind what the earlier ones will have done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from api.core import ids
from api.core.entries import MALFORMED, VERSION, Entry

#: refused: PostgreSQL takes it only without its text. regressed: the log gave out an id that was
#: passed already. conflict: something else has its id. foreign, unknown: its conversation belongs
#: to somebody else, or does not exist. malformed: no accept script wrote it.
Reason = Literal["refused", "regressed", "conflict", "foreign", "unknown", "malformed"]

_OPS: Final = frozenset({"open", "add", "rename", "title", "close", "delete"})
_MAX_USER: Final = 2**63 - 1
#: The year 9999, in Unix milliseconds.
_MAX_AT_MS: Final = 253_370_764_800_000


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """A conversation as PostgreSQL has it."""

    owner: int
    created_at_ms: int
    titled: bool = False
    closed: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A message as PostgreSQL has it."""

    conversation_id: int
    user_id: int
    created_at_ms: int
    role: str
    content: bytes

    def is_of(self, entry: Entry) -> bool:
        """Tell whether this entry wrote it."""
        return self == KnownMessage(
            entry.conversation_id, entry.user_id, entry.created_at_ms, entry.role, entry.data
        )


@dataclass(slots=True)
class Known:
    """What PostgreSQL has of what a batch is about."""

    users: set[int] = field(default_factory=set)
    conversations: dict[int, KnownConversation] = field(default_factory=dict)
    messages: dict[int, KnownMessage] = field(default_factory=dict)
    #: Entry id and payload of each.
    dead: set[tuple[int, bytes]] = field(default_factory=set)

    def has_buried(self, entry: Entry) -> bool:
        """Tell whether this entry is a dead letter already."""
        return (entry.id, entry.data) in self.dead


@dataclass(frozen=True, slots=True)
class Death:
    """An entry that becomes a dead letter. `placed`: an unavailable row keeps its place."""

    partition: int
    entry: Entry
    reason: Reason
    sqlstate: str | None = None
    placed: bool = False


@dataclass(slots=True)
class Change:
    """What a batch changes in one conversation; the last rename wins."""

    at_ms: int = 0
    added: int = 0
    rename: Entry | None = None
    closed_at_ms: int | None = None
    deleted_at_ms: int | None = None


@dataclass(slots=True)
class Tally:
    """What a partition's row is advanced by."""

    last_id: int
    applied: int = 0
    dead: int = 0
    discarded: int = 0


@dataclass(slots=True)
class Plan:
    """What is to be written, and counted."""

    tallies: dict[int, Tally]
    opens: list[Entry] = field(default_factory=list)
    adds: list[Entry] = field(default_factory=list)
    changes: dict[int, Change] = field(default_factory=dict)
    deaths: list[Death] = field(default_factory=list)
    #: Entries whose text PostgreSQL refuses, and why: they are applied without it.
    blank: Mapping[int, str | None] = field(default_factory=dict)
    applied: list[Entry] = field(default_factory=list)
    duplicates: int = 0


def make_plan(
    batch: Mapping[int, Iterable[Entry]],
    cursors: Mapping[int, int],
    known: Known,
    blank: Mapping[int, str | None],
) -> Plan:
    """Decide on entries by partition. A cursor is the id up to which a partition is committed."""
    plan = Plan({p: Tally(cursors[p]) for p in batch}, blank=blank)
    planner = _Planner(plan, replace(known, conversations=dict(known.conversations)))
    for partition, entries in batch.items():
        for entry in entries:
            if entry.id <= cursors[partition]:
                planner.check(partition, entry)
            else:
                planner.decide(partition, entry)
                plan.tallies[partition].last_id = entry.id
    return plan


def sound(partition: int, entry: Entry) -> Entry:
    """Return the entry if the accept script can have written it, else one marked MALFORMED.

    Its numbers are then dropped: they may be too large for PostgreSQL, in every statement.
    """
    if (
        entry.version == VERSION
        and entry.op in _OPS
        and ids.is_id(entry.conversation_id)
        and ids.partition_of(entry.conversation_id) == partition
        and (entry.op != "open" or entry.conversation_id == entry.id)
        and 1 <= entry.user_id <= _MAX_USER
        and 0 <= entry.created_at_ms <= _MAX_AT_MS
    ):
        return entry
    return Entry(entry.id, MALFORMED, "add", 0, 0, "", "", 0, 0, entry.data)


class _Planner:
    def __init__(self, plan: Plan, known: Known) -> None:
        self._plan = plan
        self._known = known

    def check(self, partition: int, entry: Entry) -> None:
        """Look whether a committed entry is there. It is never applied again."""
        self._plan.duplicates += 1
        if reason := self._doubt(entry):
            self._bury(partition, entry, reason)

    def _doubt(self, entry: Entry) -> Reason | None:
        """Say why a committed entry seems not to be; a rename leaves no trace to look for."""
        known = self._known
        conversation = known.conversations.get(entry.conversation_id)
        message = known.messages.get(entry.id)
        if known.has_buried(entry):
            return None
        if entry.version == VERSION and (
            entry.user_id not in known.users or (conversation and conversation.deleted)
        ):
            return None
        if conversation is None:
            return "regressed"
        is_there = {
            "open": _opened_by(conversation, entry),
            "add": message is not None and message.is_of(entry),
            "rename": True,
            "title": True,
            "close": conversation.closed,
            "delete": False,
        }
        if is_there[entry.op]:
            return None
        return "conflict" if entry.op == "open" or message else "regressed"

    def decide(self, partition: int, entry: Entry) -> None:
        """Decide on an entry that comes after its partition's cursor."""
        if self._known.has_buried(entry):
            self._plan.tallies[partition].dead += 1
        elif entry.version == MALFORMED:
            self._bury(partition, entry, "malformed")
        elif entry.user_id not in self._known.users:
            self._plan.tallies[partition].discarded += 1
        elif entry.op == "open":
            self._open(partition, entry)
        else:
            self._change(partition, entry)

    def _open(self, partition: int, entry: Entry) -> None:
        conversation = self._known.conversations.get(entry.conversation_id)
        if conversation is None:
            self._plan.opens.append(entry)
            self._known.conversations[entry.conversation_id] = KnownConversation(
                entry.user_id, entry.created_at_ms, titled=self._has_text(entry)
            )
            self._apply(partition, entry)
        elif _opened_by(conversation, entry):
            self._repeat(partition)
        else:
            self._bury(partition, entry, "conflict")

    def _change(self, partition: int, entry: Entry) -> None:
        conversation = self._known.conversations.get(entry.conversation_id)
        message = self._known.messages.get(entry.id)
        if conversation is None:
            self._bury(partition, entry, "unknown")
        elif conversation.owner != entry.user_id:
            self._bury(partition, entry, "foreign")
        elif conversation.deleted:
            self._plan.tallies[partition].discarded += 1
        elif entry.op == "add" and message:
            if message.is_of(entry):
                self._repeat(partition)
            else:
                self._bury(partition, entry, "conflict")
        else:
            self._write(entry, conversation)
            self._apply(partition, entry)

    def _write(self, entry: Entry, conversation: KnownConversation) -> None:
        change = self._plan.changes.setdefault(entry.conversation_id, Change())
        change.at_ms = entry.created_at_ms
        match entry.op:
            case "add":
                change.added += 1
                self._plan.adds.append(entry)
            case "title" if conversation.titled:
                pass
            case "rename" | "title":
                change.rename = entry
                self._known.conversations[entry.conversation_id] = replace(
                    conversation, titled=self._has_text(entry)
                )
            case "close":
                change.closed_at_ms = change.closed_at_ms or entry.created_at_ms
            case _:
                change.deleted_at_ms = entry.created_at_ms
                self._known.conversations[entry.conversation_id] = replace(
                    conversation, deleted=True
                )

    def _has_text(self, entry: Entry) -> bool:
        return bool(entry.data) and entry.id not in self._plan.blank

    def _apply(self, partition: int, entry: Entry) -> None:
        if entry.id in self._plan.blank:
            sqlstate = self._plan.blank[entry.id]
            self._bury(partition, entry, "refused", sqlstate, placed=entry.op == "add")
        else:
            self._plan.tallies[partition].applied += 1
            self._plan.applied.append(entry)

    def _repeat(self, partition: int) -> None:
        """Count one that is there, though PostgreSQL's own books were set back behind it."""
        self._plan.tallies[partition].applied += 1
        self._plan.duplicates += 1

    def _bury(
        self,
        partition: int,
        entry: Entry,
        reason: Reason,
        sqlstate: str | None = None,
        *,
        placed: bool = False,
    ) -> None:
        self._plan.tallies[partition].dead += 1
        self._plan.deaths.append(Death(partition, entry, reason, sqlstate, placed))


def _opened_by(conversation: KnownConversation, entry: Entry) -> bool:
    return (conversation.owner, conversation.created_at_ms) == (entry.user_id, entry.created_at_ms)
