"""Finds what the gateway has stored by the names of messages, always by owner."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from api.core.models.conversations import Conversation
from api.core.models.messages import Message
from api.reads import owners


class Known(NamedTuple):
    """A message that is shown, and where its conversation goes on."""

    name: str
    conversation_id: int
    position: int
    #: The message that comes after it, if one does, and the name of that.
    next_id: int | None
    next_name: str | None


class ChainRepository:
    """An owner's messages by the names that `api.chat.gateway.said` gave them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def known(
        self, owner: int, names: Sequence[str], conversation_id: int | None = None
    ) -> list[Known]:
        """Return those messages that have these names, in one conversation or in any.

        The latest conversations come first.
        """
        following: Any = aliased(Message)
        wanted: Any = (
            *(Message.external_id, Message.conversation_id, Message.position),
            *(following.id, following.external_id),
        )
        statement: Any = (
            select(*wanted)
            .join(Conversation, col(Conversation.id) == Message.conversation_id)
            .outerjoin(
                following,
                (following.conversation_id == Message.conversation_id)
                & (following.position == Message.position + 1),
            )
            .where(
                owners.alive(owner, conversation_id),
                Message.user_id == owner,
                col(Message.external_id).like("chain:%"),
                col(Message.external_id).in_(names),
                Message.status != "deleted",
            )
            .order_by(col(Message.conversation_id).desc(), col(Message.position).desc())
        )
        return [Known(*row) for row in self._session.exec(statement)]
