"""Reads of conversations, always by owner: with another owner's id every method finds nothing.

One call is one statement, so one snapshot. Nothing here writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session, col, desc, func, select

from api.core.conversation_fields import instructions_in
from api.core.models.conversations import Conversation
from api.reads import owners

#: So many tags of an owner are listed at most.
TAGS_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class TagCount:
    """A tag, and how many conversations have it."""

    tag: str
    conversations: int


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What the accept script needs to know of a conversation that the log has forgotten."""

    owner: int
    closed: bool
    deleted: bool
    external_id: str | None = None
    #: What its metadata tell the assistant.
    instructions: str = ""


class ConversationRepository:
    """An owner's conversations. Deleted ones are gone, except to `state`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner: int, conversation_id: int) -> Conversation | None:
        """Return one conversation."""
        statement = select(Conversation).where(owners.alive(owner, conversation_id))
        return self._session.exec(statement).one_or_none()

    def named(self, owner: int, external_id: str) -> Conversation | None:
        """Return the conversation with an external id."""
        statement = select(Conversation).where(
            owners.alive(owner), Conversation.external_id == external_id
        )
        return self._session.exec(statement).one_or_none()

    def tags(self, owner: int, *, archived: bool | None) -> Sequence[TagCount]:
        """Return the tags of conversations, of all for None, the most used first."""
        tag = func.unnest(Conversation.tags).label("tag")
        wanted = select(tag).where(owners.alive(owner))
        if archived is not None:
            at = col(Conversation.archived_at)
            wanted = wanted.where(at.is_not(None) if archived else at.is_(None))
        each = wanted.subquery().c.tag
        count = func.count()
        counted = select(each, count).group_by(each).order_by(desc(count), each.collate("C"))
        return [TagCount(*row) for row in self._session.exec(counted.limit(TAGS_MOST))]

    def following(self, owner: int, last: int, *, limit: int) -> Sequence[Conversation]:
        """Return conversations by id from the one after `last` on."""
        statement = select(Conversation).where(owners.alive(owner), col(Conversation.id) > last)
        return self._session.exec(statement.order_by(col(Conversation.id)).limit(limit)).all()

    def state(self, owner: int, conversation_id: int) -> ConversationState | None:
        """Return what the log is to know of a conversation."""
        statement = select(
            Conversation.closed_at,
            Conversation.deleted_at,
            Conversation.external_id,
            Conversation.metadata_text,
        ).where(owners.owned_by(owner), Conversation.id == conversation_id)
        row = self._session.exec(statement).one_or_none()
        if row is None:
            return None
        closed_at, deleted_at, external_id, metadata = row
        return ConversationState(
            *(owner, closed_at is not None, deleted_at is not None, external_id),
            instructions_in(metadata),
        )
