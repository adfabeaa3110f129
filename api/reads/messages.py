"""Reads of messages, always by owner: with another owner's id every method finds nothing.

One call is one statement, so one snapshot: a page and its total always agree. Nothing here writes.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import or_, true, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from api.core import ids
from api.core.models.conversations import Conversation
from api.core.models.drain import LogPartition
from api.core.models.messages import Message, MessageAside
from api.reads import owners
from api.reads.message_pages import CHAT_ROLES

#: Where what is wanted of a conversation mostly is: among so many messages. To look there first is
#: to read no more; without such a bound PostgreSQL may read all of a long one, and sort it.
NEAR: Final = 40


class MessageRepository:
    """The messages of an owner's conversations, by position: the same cost at any depth.

    Pages are None where the conversation is unknown, deleted or another user's.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner: int, conversation_id: int, message_id: int) -> Message | None:
        """Return one message."""
        statement = (
            select(Message)
            .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
            .where(owners.alive(owner, conversation_id), Message.id == message_id)
        )
        return self._session.exec(statement).one_or_none()

    def known_names(
        self, owner: int, conversation_id: int, external_ids: Sequence[str]
    ) -> set[str]:
        """Return which of some external ids messages have, those of other branches included."""
        named = (
            select(col(table.external_id))
            .join(Conversation, col(table.conversation_id) == col(Conversation.id))
            .where(
                owners.alive(owner, conversation_id),
                col(table.external_id).in_(external_ids),
            )
            for table in (Message, MessageAside)
        )
        return set(self._session.connection().scalars(union_all(*named)))

    def aside(self, owner: int, conversation_id: int, message_id: int) -> MessageAside | None:
        """Return one message that was put aside with a branch."""
        statement = (
            select(MessageAside)
            .join(Conversation, col(MessageAside.conversation_id) == col(Conversation.id))
            .where(owners.alive(owner, conversation_id), MessageAside.id == message_id)
        )
        return self._session.exec(statement).one_or_none()

    def count_until(self, owner: int, conversation_id: int, last_id: int) -> int:
        """Return how many messages of a conversation have ids up to `last_id`: its first ones."""
        statement = (
            select(Message.position)
            .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
            .where(owners.alive(owner, conversation_id), Message.id <= last_id)
            .order_by(col(Message.position).desc())
            .limit(1)
        )
        return self._session.exec(statement).one_or_none() or 0

    def last_of_user(self, owner: int, conversation_id: int) -> Message | None:
        """Return what the user said last."""
        latest = self._last_of_user(owner, conversation_id, NEAR)
        return latest or self._last_of_user(owner, conversation_id, ids.MAX_ID)

    def _last_of_user(self, owner: int, conversation_id: int, within: int) -> Message | None:
        statement = (
            select(Message)
            .where(
                Message.conversation_id == conversation_id,
                owners.written_by(owner),
                Message.role == "user",
                Message.status == "stored",
                col(Message.position) > _length(owner, conversation_id) - within,
            )
            .order_by(col(Message.position).desc())
            .limit(1)
        )
        return self._session.exec(statement).one_or_none()

    def recent_turns(
        self,
        owner: int,
        conversation_id: int,
        *,
        limit: int,
        most_bytes: int,
        before: int = ids.MAX_ID,
    ) -> tuple[list[Message], int]:
        """Return the latest messages an assistant can use, oldest first, and how far they reach.

        `before` is a position, where only messages before it are wanted. They have `most_bytes` in
        all; one that is longer comes alone, if it is the latest.

        The number is the partition's `last_id`, of the same snapshot: every entry up to it has been
        drained, so what the log holds above it is exactly what is missing here.
        """
        near = limit + NEAR
        wanted = owner, conversation_id, limit, most_bytes, before
        rows = self._recent_turns(*wanted, within=near)
        _, count, found, _ = rows[0]
        if (found or 0) < limit and count > near:
            rows = self._recent_turns(*wanted, within=ids.MAX_ID)
        return list(filter(None, (message for *_, message in rows))), rows[0][0]

    def _recent_turns(
        self,
        owner: int,
        conversation_id: int,
        limit: int,
        most_bytes: int,
        before: int,
        *,
        within: int,
    ) -> Sequence[Any]:
        """Look for them among so many messages.

        Returns rows of the number, how many messages the conversation has, how many were found, of
        any length, and one of them; one row without, if there are none.
        """
        position, length = col(Message.position), _length(owner, conversation_id)
        latest = (
            select(Message)
            .where(
                Message.conversation_id == conversation_id,
                owners.written_by(owner),
                col(Message.status).in_(("stored", "interrupted")),
                col(Message.role).in_(CHAT_ROLES),
                position < before,
                position >= func.least(before, length + 1) - within,
            )
            .order_by(position.desc())
            .limit(limit)
            .subquery()
        )
        from_latest = latest.c.position.desc()
        total = func.sum(func.octet_length(latest.c.content)).over(order_by=from_latest)
        place = func.row_number().over(order_by=from_latest)
        counted: Any = latest.select().add_columns(
            total.label("bytes"), place.label("place"), func.count().over().label("found")
        )
        counted = counted.subquery()
        few = or_(counted.c.bytes <= most_bytes, counted.c.place == 1)
        kept: Any = select(counted).where(few).subquery()
        recent = aliased(Message, kept)
        statement: Any = (
            select(LogPartition.last_id, func.coalesce(length, 0), kept.c.found, recent)
            .outerjoin(recent, true())
            .where(LogPartition.id == ids.partition_of(conversation_id))
            .order_by(col(recent.position))
        )
        found: Sequence[Any] = self._session.exec(statement).all()
        return found


def _length(owner: int, conversation_id: int) -> Any:
    """Return how many messages an owner's conversation has; NULL where there is none."""
    alive = owners.alive(owner, conversation_id)
    return select(Conversation.message_count).where(alive).scalar_subquery()
