"""What PostgreSQL has of the users, conversations and entries of a batch."""

from dataclasses import dataclass, field

from api.core.entries import Entry


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """A conversation as PostgreSQL has it."""

    owner: int
    created_at_ms: int
    titled: bool = False
    closed: bool = False
    deleted: bool = False

    def was_opened_by(self, entry: Entry) -> bool:
        """Return whether this entry opened it."""
        return (self.owner, self.created_at_ms) == (entry.user_id, entry.created_at_ms)


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A message as PostgreSQL has it."""

    conversation_id: int
    user_id: int
    created_at_ms: int
    role: str
    content: bytes

    def was_added_by(self, entry: Entry) -> bool:
        """Return whether this entry added it."""
        return self == KnownMessage(
            entry.conversation_id, entry.user_id, entry.created_at_ms, entry.role, entry.data
        )


@dataclass(slots=True)
class Known:
    """What PostgreSQL has of the users, conversations and entries of a batch."""

    users: set[int] = field(default_factory=set)
    conversations: dict[int, KnownConversation] = field(default_factory=dict)
    messages: dict[int, KnownMessage] = field(default_factory=dict)
    #: Entry id and payload of each dead letter.
    dead_letters: set[tuple[int, bytes]] = field(default_factory=set)

    def has_dead_letter(self, entry: Entry) -> bool:
        """Return whether this entry is a dead letter already."""
        return (entry.id, entry.data) in self.dead_letters
