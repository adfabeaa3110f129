"""What PostgreSQL has of the users, conversations and entries of a batch."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from api.core import conversation_fields
from api.core.batches import AddedMessage
from api.core.entries import Entry


def opened_at_ms(entry: Entry) -> int:
    """Return when the conversation of an open began: an imported one began before."""
    if entry.form == "t" or entry.op != "open":
        return entry.created_at_ms
    return conversation_fields.decode(entry.data).get("created_at", entry.created_at_ms)


def external_ids_of(entries: Iterable[Entry], refused: Collection[int]) -> list[tuple[int, str]]:
    """Return the external ids that opens ask for, each with its user, but for refused entries."""
    asked = (entry for entry in entries if entry.form == "j" and entry.op == "open")
    said = (
        (entry.user_id, conversation_fields.decode(entry.data).get("external_id"))
        for entry in asked
        if entry.id not in refused
    )
    return [(user_id, external_id) for user_id, external_id in said if external_id is not None]


def written_at_ms(entry: Entry, message: AddedMessage) -> int:
    """Return when a message of an entry was written: before it was accepted if it is imported."""
    return entry.created_at_ms if message.created_at_ms is None else message.created_at_ms


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """A conversation as PostgreSQL has it."""

    owner: int
    created_at_ms: int
    titled: bool = False
    closed: bool = False
    deleted: bool = False
    #: The last entry that changed stored messages: those up to it were applied.
    rewritten_id: int = 0

    def was_opened_by(self, entry: Entry) -> bool:
        """Return whether this entry opened it."""
        return (self.owner, self.created_at_ms) == (entry.user_id, opened_at_ms(entry))

    def has_applied(self, entry: Entry) -> bool:
        """Return whether an entry is one of those up to the last that changed stored messages.

        What it wrote may be changed since, or gone.
        """
        return self.owner == entry.user_id and entry.id <= self.rewritten_id


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A message as PostgreSQL has it."""

    conversation_id: int
    user_id: int
    created_at_ms: int
    role: str
    content: bytes

    def was_added_by(self, entry: Entry, message: AddedMessage) -> bool:
        """Return whether this entry added it, as this one of its messages."""
        return self == KnownMessage(
            *(entry.conversation_id, entry.user_id, written_at_ms(entry, message)),
            *(message.role, message.content),
        )


@dataclass(slots=True)
class Known:
    """What PostgreSQL has of the users, conversations and entries of a batch."""

    users: set[int] = field(default_factory=set)
    conversations: dict[int, KnownConversation] = field(default_factory=dict)
    messages: dict[int, KnownMessage] = field(default_factory=dict)
    #: The conversations that have external ids which the batch's opens ask for.
    external_ids: dict[tuple[int, str], int] = field(default_factory=dict)
    #: Messages with an external id: (conversation, external id) → role, content, extra.
    named: dict[tuple[int, str], tuple[str, bytes, str | None]] = field(default_factory=dict)
    #: Entry id and payload of each dead letter.
    dead_letters: set[tuple[int, bytes]] = field(default_factory=set)

    def free_external_id(self, conversation_id: int) -> None:
        """Note that a conversation was deleted: its external id may be another's."""
        for name, owner in list(self.external_ids.items()):
            if owner == conversation_id:
                del self.external_ids[name]

    def has_dead_letter(self, entry: Entry) -> bool:
        """Return whether this entry is a dead letter already."""
        return bool(self.dead_letters) and (entry.id, entry.data) in self.dead_letters
