"""Whose a conversation is: every query of chat data has one of these conditions."""

from sqlalchemy import BindParameter, ColumnElement, and_
from sqlmodel import Session, col, select

from api.core.errors import Unauthenticated
from api.core.models.accounts import User
from api.core.models.conversations import Conversation
from api.core.models.messages import Message

#: Of a user or a conversation.
_Id = int | BindParameter[int]


def owned_by(owner: _Id) -> ColumnElement[bool]:
    """Return the condition on conversations of an owner, deleted ones included."""
    return col(Conversation.user_id) == owner


def alive(owner: _Id, conversation_id: _Id | None = None) -> ColumnElement[bool]:
    """Return the condition on an owner's conversations, or on one of them, if not deleted."""
    condition = and_(owned_by(owner), col(Conversation.deleted_at).is_(None))
    if conversation_id is None:
        return condition
    return and_(condition, col(Conversation.id) == conversation_id)


def written_by(owner: _Id) -> ColumnElement[bool]:
    """Return the condition on messages in conversations of an owner."""
    return col(Message.user_id) == owner


def require_account(session: Session, owner: int) -> None:
    """Raise Unauthenticated where there is no such user, whatever a token says.

    For reads that find nothing: the account may have been deleted, or be lost by a restore.
    """
    if session.exec(select(User.id).where(User.id == owner)).first() is None:
        raise Unauthenticated("there is no such account")
