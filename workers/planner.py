"""Decide what becomes of each entry of a batch, in memory; `workers.write` writes it.

An entry is applied, discarded or dead-lettered. The entries of a partition are taken in the order
of the log, and each is decided on as if the ones before it had been written already.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from api.core.batches import ROLES, AddedMessage
from api.core.changes import REWRITES
from api.core.conversation_fields import ConversationFields
from api.core.entries import MALFORMED, VERSION, Entry
from api.core.partition_counts import Tally
from workers.failures import UNIQUE_VIOLATION
from workers.known import Known, KnownConversation, opened_at_ms, written_at_ms
from workers.plan import Change, DeadLetter, Plan, Reason, Row
from workers.said import fields_of, said_by


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
    plan = Plan({p: Tally(last_ids[p]) for p in batch}, refused=dict(refused))
    planner = _Planner(
        plan,
        replace(
            known,
            conversations=dict(known.conversations),
            external_ids=dict(known.external_ids),
            named=dict(known.named),
        ),
    )
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
        """Return why a committed entry is not stored, or None. Renames and sets leave no trace."""
        known = self._known
        conversation = known.conversations.get(entry.conversation_id)
        if known.has_dead_letter(entry):
            return None
        if entry.version == VERSION and (
            entry.user_id not in known.users or (conversation and conversation.deleted)
        ):
            return None
        if conversation is None:
            return "regressed"
        if conversation.has_applied(entry):
            return None
        is_stored = {
            "open": conversation.was_opened_by(entry),
            "fork": conversation.was_opened_by(entry),
            "add": self._are_stored(entry),
            "adds": self._are_stored(entry),
            "rename": True,
            "title": True,
            "set": True,
            "close": conversation.closed,
        }
        if is_stored.get(entry.op):
            return None
        found = any(message.id in known.messages for message in entry.added)
        return "conflict" if entry.op in {"open", "fork"} or found else "regressed"

    def _are_stored(self, entry: Entry) -> bool:
        return all(
            self._is_stored(entry, message) or self._is_same(entry, message)
            for message in entry.added
        )

    def _is_stored(self, entry: Entry, message: AddedMessage) -> bool:
        found = self._known.messages.get(message.id)
        return found is not None and found.was_added_by(entry, message)

    def _is_same(self, entry: Entry, message: AddedMessage) -> bool:
        """Return whether an earlier message with its external id says the same."""
        if message.external_id is None:
            return False
        found = self._known.named.get((entry.conversation_id, message.external_id))
        return found == (message.role, message.content, message.extra)

    def decide(self, partition: int, entry: Entry) -> None:
        """Decide on an entry above its partition's `last_id`."""
        if self._known.has_dead_letter(entry):
            self._plan.tallies[partition].dead += 1
        elif entry.version == MALFORMED:
            self._dead_letter(partition, entry, "malformed")
        elif entry.user_id not in self._known.users:
            self._plan.tallies[partition].discarded += 1
            self._plan.lost_users.add(entry.user_id)
        elif entry.op in {"open", "fork"}:
            self._open(partition, entry)
        else:
            self._change(partition, entry)

    def _open(self, partition: int, entry: Entry) -> None:
        conversation = self._known.conversations.get(entry.conversation_id)
        if conversation is None:
            titled = self._make(entry)
            self._known.conversations[entry.conversation_id] = KnownConversation(
                entry.user_id, opened_at_ms(entry), titled=titled
            )
            self._apply(partition, entry)
        elif conversation.was_opened_by(entry):
            self._count_duplicate(partition)
        else:
            self._dead_letter(partition, entry, "conflict")

    def _make(self, entry: Entry) -> bool:
        """Write a new conversation; return whether it has a title."""
        if entry.op == "fork":
            self._plan.rewrites.append(entry)
            return bool(entry.change["title"]) and entry.id not in self._plan.refused
        self._refuse_taken(entry)
        self._plan.opens.append(entry)
        fields = self._fields(entry)
        self._say(entry, fields)
        return bool(fields.get("title"))

    def _refuse_taken(self, entry: Entry) -> None:
        """Refuse the texts of an open whose external id another conversation has."""
        external_id = self._fields(entry).get("external_id")
        if external_id is None:
            return
        if (entry.user_id, external_id) in self._known.external_ids:
            self._plan.refused[entry.id] = UNIQUE_VIOLATION
        else:
            self._known.external_ids[entry.user_id, external_id] = entry.conversation_id

    def _change(self, partition: int, entry: Entry) -> None:
        conversation = self._known.conversations.get(entry.conversation_id)
        if conversation is None:
            self._dead_letter(partition, entry, "unknown")
        elif conversation.owner != entry.user_id:
            self._dead_letter(partition, entry, "foreign")
        elif conversation.deleted:
            self._plan.tallies[partition].discarded += 1
        elif conversation.has_applied(entry):
            self._count_duplicate(partition)
        elif entry.op in REWRITES:
            self._rewrite(partition, entry, conversation)
        elif entry.op in {"add", "adds"}:
            self._add(partition, entry)
        else:
            self._write(entry, conversation)
            self._apply(partition, entry)

    def _rewrite(self, partition: int, entry: Entry, conversation: KnownConversation) -> None:
        if entry.id not in self._plan.refused:
            self._plan.rewrites.append(entry)
            self._known.conversations[entry.conversation_id] = replace(
                conversation, rewritten_id=entry.id
            )
        self._apply(partition, entry)

    def _add(self, partition: int, entry: Entry) -> None:
        """Add an entry's messages, but for those that are there already.

        One letter stands for all of a batch's messages that are refused or in conflict; the others
        are stored.
        """
        known, refused, plan = self._known, self._plan.refused, self._plan
        if entry.op == "add" and not refused and entry.id not in known.messages:
            self._add_text(partition, entry)
            return
        new: list[AddedMessage] = []
        in_conflict = False
        for message in entry.added:
            if message.id in known.messages:
                in_conflict = in_conflict or not self._is_stored(entry, message)
            elif message.external_id is None or message.id in refused:
                new.append(message)
            elif (external := (entry.conversation_id, message.external_id)) in known.named:
                in_conflict = in_conflict or not self._is_same(entry, message)
            else:
                known.named[external] = message.role, message.content, message.extra
                new.append(message)
        if new:
            self._note_added(entry.conversation_id, len(new), written_at_ms(entry, new[-1]))
            plan.adds += [_row(entry, message, refused) for message in new]
        placeholders = [message.id for message in new if message.id in refused] if refused else ()
        if placeholders:
            first = placeholders[0]
            self._dead_letter(partition, entry, "refused", refused[first], placeholder=first)
        elif in_conflict:
            self._dead_letter(partition, entry, "conflict")
        elif new:
            plan.tallies[partition].applied += 1
            plan.applied.append(entry)
        else:
            self._count_duplicate(partition)

    def _add_text(self, partition: int, entry: Entry) -> None:
        """Add the message of an `add` that is neither there nor refused, as nearly all are."""
        plan = self._plan
        self._note_added(entry.conversation_id, 1, entry.created_at_ms)
        whose = entry.id, entry.conversation_id, entry.user_id
        said = entry.role, entry.data, entry.status, entry.created_at_ms
        plan.adds.append((*whose, *said, None, None))
        plan.tallies[partition].applied += 1
        plan.applied.append(entry)

    def _note_added(self, conversation_id: int, messages: int, at_ms: int) -> None:
        """Note that messages are added to a conversation, the last one of that time."""
        change = self._plan.changes.get(conversation_id)
        if change is None:
            change = self._plan.changes[conversation_id] = Change()
        change.at_ms = at_ms
        change.added += messages

    def _write(self, entry: Entry, conversation: KnownConversation) -> None:
        if entry.op == "set":
            fields = self._fields(entry)
            self._say(entry, fields)
            if "title" not in fields:
                return
        change = self._plan.changes.setdefault(entry.conversation_id, Change())
        change.at_ms = entry.created_at_ms
        match entry.op:
            case "title" if conversation.titled:
                pass
            case "rename" | "title" | "set":
                change.rename = entry
                titled = bool(self._fields(entry).get("title"))
                self._known.conversations[entry.conversation_id] = replace(
                    conversation, titled=titled
                )
            case "close":
                change.closed_at_ms = change.closed_at_ms or entry.created_at_ms
            case _:
                change.deleted_at_ms = entry.created_at_ms
                self._known.conversations[entry.conversation_id] = replace(
                    conversation, deleted=True
                )
                self._known.free_external_id(entry.conversation_id)

    def _fields(self, entry: Entry) -> ConversationFields:
        return fields_of(entry, is_refused=entry.id in self._plan.refused)

    def _say(self, entry: Entry, fields: ConversationFields) -> None:
        if said := said_by(entry, fields):
            self._plan.said.setdefault(entry.conversation_id, {}).update(said)
        if "feedback" in fields:
            self._plan.feedback.append((entry, fields["feedback"]))

    def _apply(self, partition: int, entry: Entry) -> None:
        """Count an entry that is written, as a dead letter if it is written without its text."""
        if entry.id in self._plan.refused:
            self._dead_letter(partition, entry, "refused", self._plan.refused[entry.id])
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
        placeholder: int | None = None,
    ) -> None:
        self._plan.tallies[partition].dead += 1
        self._plan.dead_letters.append(DeadLetter(partition, entry, reason, sqlstate, placeholder))


def _row(entry: Entry, message: AddedMessage, refused: Collection[int]) -> Row:
    """Return a message as it is written; without its text if that is refused."""
    message_id, role, content, external_id, extra, written_ms, status = message
    at_ms = entry.created_at_ms if written_ms is None else written_ms
    whose = message_id, entry.conversation_id, entry.user_id
    if message_id in refused:
        role = role if role in ROLES else "user"
        return *whose, role, b"", "unavailable", at_ms, None, None
    return *whose, role, content, status or entry.status, at_ms, external_id, extra
