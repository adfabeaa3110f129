"""Decide what becomes of each entry of a batch, in memory; `workers.write` writes it.

An entry is applied, discarded or dead-lettered. The entries of a partition are taken in the order
of the log, and each is decided on as if the ones before it had been written already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from api.core.entries import MALFORMED, VERSION, Entry
from api.core.partition_counts import Tally
from workers.known import Known, KnownConversation

#: Why an entry became a dead letter.
#: refused: PostgreSQL accepts it only without its text. regressed: its id is at or below `last_id`,
#: but it was never stored. conflict: another row has its id. foreign: its conversation belongs to
#: another user. unknown: its conversation does not exist. malformed: no accept script wrote it.
Reason = Literal["refused", "regressed", "conflict", "foreign", "unknown", "malformed"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that becomes a dead letter."""

    partition: int
    entry: Entry
    reason: Reason
    sqlstate: str | None = None
    #: A message without its text (status `unavailable`) takes its position.
    keeps_position: bool = False


@dataclass(slots=True)
class Change:
    """What a batch changes in one conversation; the last rename wins."""

    at_ms: int = 0
    added: int = 0
    rename: Entry | None = None
    closed_at_ms: int | None = None
    deleted_at_ms: int | None = None


@dataclass(slots=True)
class Plan:
    """What is to be written and counted."""

    tallies: dict[int, Tally]
    opens: list[Entry] = field(default_factory=list)
    adds: list[Entry] = field(default_factory=list)
    changes: dict[int, Change] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    #: Entries whose text PostgreSQL refuses (id → SQLSTATE): they are written without it.
    refused: Mapping[int, str | None] = field(default_factory=dict)
    applied: list[Entry] = field(default_factory=list)
    #: Users of discarded entries who do not exist: deleted, or lost by a restore of PostgreSQL.
    lost_users: set[int] = field(default_factory=set)
    #: Entries that were stored already.
    duplicates: int = 0


def make_plan(
    batch: Mapping[int, Iterable[Entry]],
    last_ids: Mapping[int, int],
    known: Known,
    refused: Mapping[int, str | None],
) -> Plan:
    """Decide on a batch: entries by partition, each partition's in the order of the log.

    `last_ids` says up to which id each partition is committed. Entries above it are decided on;
    those at or below it are only checked for being stored, and never applied again.
    """
    plan = Plan({p: Tally(last_ids[p]) for p in batch}, refused=refused)
    planner = _Planner(plan, replace(known, conversations=dict(known.conversations)))
    for partition, entries in batch.items():
        for entry in entries:
            if entry.id <= last_ids[partition]:
                planner.check_committed(partition, entry)
            else:
                planner.decide(partition, entry)
                plan.tallies[partition].last_id = entry.id
    return plan


class _Planner:
    def __init__(self, plan: Plan, known: Known) -> None:
        self._plan = plan
        self._known = known

    def check_committed(self, partition: int, entry: Entry) -> None:
        """Check that an entry at or below `last_id` is stored; if not, it becomes a dead letter."""
        self._plan.duplicates += 1
        if reason := self._why_missing(entry):
            self._dead_letter(partition, entry, reason)

    def _why_missing(self, entry: Entry) -> Reason | None:
        """Return why a committed entry is not stored, or None. A rename leaves nothing to check."""
        known = self._known
        conversation = known.conversations.get(entry.conversation_id)
        message = known.messages.get(entry.id)
        if known.has_dead_letter(entry):
            return None
        if entry.version == VERSION and (
            entry.user_id not in known.users or (conversation and conversation.deleted)
        ):
            return None
        if conversation is None:
            return "regressed"
        is_stored = {
            "open": conversation.was_opened_by(entry),
            "add": message is not None and message.was_added_by(entry),
            "rename": True,
            "title": True,
            "close": conversation.closed,
            "delete": False,
        }
        if is_stored[entry.op]:
            return None
        return "conflict" if entry.op == "open" or message else "regressed"

    def decide(self, partition: int, entry: Entry) -> None:
        """Decide on an entry above its partition's `last_id`."""
        if self._known.has_dead_letter(entry):
            self._plan.tallies[partition].dead += 1
        elif entry.version == MALFORMED:
            self._dead_letter(partition, entry, "malformed")
        elif entry.user_id not in self._known.users:
            self._plan.tallies[partition].discarded += 1
            self._plan.lost_users.add(entry.user_id)
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
        elif conversation.was_opened_by(entry):
            self._count_duplicate(partition)
        else:
            self._dead_letter(partition, entry, "conflict")

    def _change(self, partition: int, entry: Entry) -> None:
        conversation = self._known.conversations.get(entry.conversation_id)
        message = self._known.messages.get(entry.id)
        if conversation is None:
            self._dead_letter(partition, entry, "unknown")
        elif conversation.owner != entry.user_id:
            self._dead_letter(partition, entry, "foreign")
        elif conversation.deleted:
            self._plan.tallies[partition].discarded += 1
        elif entry.op == "add" and message:
            if message.was_added_by(entry):
                self._count_duplicate(partition)
            else:
                self._dead_letter(partition, entry, "conflict")
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
        return bool(entry.data) and entry.id not in self._plan.refused

    def _apply(self, partition: int, entry: Entry) -> None:
        """Count an entry that is written, as a dead letter if it is written without its text."""
        if entry.id in self._plan.refused:
            sqlstate = self._plan.refused[entry.id]
            self._dead_letter(
                partition, entry, "refused", sqlstate, keeps_position=entry.op == "add"
            )
        else:
            self._plan.tallies[partition].applied += 1
            self._plan.applied.append(entry)

    def _count_duplicate(self, partition: int) -> None:
        """Count an entry above `last_id` that is stored: PostgreSQL's `last_id` was set back."""
        self._plan.tallies[partition].applied += 1
        self._plan.duplicates += 1

    def _dead_letter(
        self,
        partition: int,
        entry: Entry,
        reason: Reason,
        sqlstate: str | None = None,
        *,
        keeps_position: bool = False,
    ) -> None:
        self._plan.tallies[partition].dead += 1
        self._plan.dead_letters.append(
            DeadLetter(partition, entry, reason, sqlstate, keeps_position)
        )
