"""Messages of conversations, and messages that were put aside."""

from datetime import datetime
from typing import Literal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from api.core.models.base import Base, JsonText, UtcDateTime

Role = Literal["user", "assistant", "system", "tool"]
#: `unavailable`: a dead message, which keeps its position; its content is in `dead_letter`.
#: `deleted`: it was deleted alone, and keeps its position without its content.
Status = Literal["stored", "interrupted", "unavailable", "deleted"]


class Message(Base, table=True):
    """One message. Its order is `position`, 1 to n without gaps, never its id."""

    __tablename__ = "message"
    __table_args__ = (
        # Also serves every page, and the foreign key's check when a conversation goes.
        UniqueConstraint("conversation_id", "position"),
        # PostgreSQL refuses a message whose user is not the conversation's owner.
        ForeignKeyConstraint(
            ["conversation_id", "user_id"], ["conversation.id", "conversation.user_id"]
        ),
        Index(
            "uq_message_conversation_id_external_id",
            "conversation_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        # Messages that passed the gateway, by what they and all before them say.
        Index(
            "ix_message_chain",
            "user_id",
            "external_id",
            postgresql_where=text("external_id LIKE 'chain:%'"),
        ),
        # What a chat's history leaves out, and how much that is: nothing, of most conversations.
        Index(
            "ix_message_not_of_chat",
            "conversation_id",
            "position",
            postgresql_where=text("role NOT IN ('user', 'assistant')"),
        ),
        CheckConstraint("position > 0", "position"),
        CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", "role"),
        CheckConstraint("status IN ('stored', 'interrupted', 'unavailable', 'deleted')", "status"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    conversation_id: int = Field(sa_type=BigInteger)
    user_id: int = Field(sa_type=BigInteger)
    position: int = Field(sa_type=BigInteger)
    role: Role = Field(sa_type=Text)
    content: str = Field(sa_type=Text)
    status: Status = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    #: The writer's own id for it, unique in its conversation.
    external_id: str | None = Field(default=None, sa_type=Text)
    #: A JSON object: what the writer keeps of a message beside its text.
    extra: str | None = Field(default=None, sa_type=JsonText)
    edited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: A JSON object: what the owner thinks of an answer (`api.core.feedback`).
    feedback: str | None = Field(default=None, sa_type=JsonText)


class MessageAside(Base, table=True):
    """A message that was cut off its conversation and kept: one of a branch."""

    __tablename__ = "message_aside"
    __table_args__ = (
        ForeignKeyConstraint(
            ["conversation_id", "user_id"], ["conversation.id", "conversation.user_id"]
        ),
        Index("ix_message_aside_conversation_id_position", "conversation_id", "position"),
        CheckConstraint("position > 0", "position"),
        CheckConstraint("role IN ('user', 'assistant', 'system', 'tool')", "role"),
        CheckConstraint("status IN ('stored', 'interrupted', 'unavailable', 'deleted')", "status"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    conversation_id: int = Field(sa_type=BigInteger)
    user_id: int = Field(sa_type=BigInteger)
    position: int = Field(sa_type=BigInteger)
    role: Role = Field(sa_type=Text)
    content: str = Field(sa_type=Text)
    status: Status = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    external_id: str | None = Field(default=None, sa_type=Text)
    extra: str | None = Field(default=None, sa_type=JsonText)
    edited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: A JSON object: what the owner thinks of an answer (`api.core.feedback`).
    feedback: str | None = Field(default=None, sa_type=JsonText)
    #: The entry that put it aside, with all that followed it.
    branch_id: int = Field(sa_type=BigInteger)
    #: The message it follows; null for a first one.
    parent_id: int | None = Field(default=None, sa_type=BigInteger)
    aside_at: datetime = Field(sa_type=UtcDateTime)
