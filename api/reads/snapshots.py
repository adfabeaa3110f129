"""What others may be shown of a conversation: what was said, and nothing else that its owner keeps.

No messages of systems and tools, no `extra`, no ids and times; nothing that is aside.
"""

import json
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_
from sqlmodel import Session, col, func, select

from api.core.errors import NotAllowed
from api.core.models.conversations import Conversation
from api.core.models.messages import Message
from api.reads import owners
from api.reads.message_pages import CHAT_ROLES

#: A snapshot is answered, and imported, as a whole.
MESSAGES_MOST: Final = 10_000
BYTES_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A conversation as it is at one moment."""

    title: str | None
    #: A JSON array of `{role, content, status}`.
    messages: str
    message_count: int


def take(session: Session, owner: int, conversation_id: int) -> Snapshot | None:
    """Return what is in an owner's conversation; None where there is no such one.

    Raises NotAllowed where there is nothing to show yet, or too much.
    """
    titles = session.exec(
        select(Conversation.title).where(owners.alive(owner, conversation_id))
    ).all()
    if not titles:
        return None
    size = func.coalesce(func.sum(func.octet_length(Message.content)), 0)
    count, size_bytes = session.exec(
        select(func.count(), size)
        .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
        .where(_shown(owner, conversation_id))
    ).one()
    if not count:
        raise NotAllowed("nothing was said in this conversation yet")
    if count > MESSAGES_MOST or size_bytes > BYTES_MOST:
        raise NotAllowed(
            f"of a conversation up to {MESSAGES_MOST} messages and {BYTES_MOST} bytes of text can "
            "be shared; a copy up to a position (`fork`) has less"
        )
    rows = session.exec(
        select(Message.role, Message.content, Message.status)
        .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
        .where(_shown(owner, conversation_id))
        .order_by(col(Message.position))
    ).all()
    messages = [
        {"role": role, "content": content, "status": status} for role, content, status in rows
    ]
    return Snapshot(titles[0], json.dumps(messages, ensure_ascii=False), len(messages))


def exists(session: Session, owner: int, conversation_id: int) -> bool:
    """Return whether an owner's conversation is there, and not deleted."""
    found = select(Conversation.id).where(owners.alive(owner, conversation_id))
    return session.exec(found).first() is not None


def _shown(owner: int, conversation_id: int) -> ColumnElement[bool]:
    return and_(
        owners.alive(owner, conversation_id),
        col(Message.role).in_(CHAT_ROLES),
        col(Message.status).in_(("stored", "interrupted")),
        col(Message.content) != "",
    )
