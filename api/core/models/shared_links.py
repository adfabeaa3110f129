"""Shared links."""

from datetime import datetime
from typing import Literal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field

from api.core.models.base import Base, UtcDateTime

#: Whom a shared link shows a conversation: everybody who has it, or of these who is signed in.
Audience = Literal["public", "signed_in"]


class SharedLink(Base, table=True):
    """A link under which others see a conversation as it was when the link was made.

    What is shown is a copy, so that nothing that is written or edited later is. The row goes with
    the conversation: the drain deletes it with the tombstone, and PostgreSQL with the account.
    """

    __tablename__ = "shared_link"
    __table_args__ = (
        UniqueConstraint("secret_hash"),
        ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["conversation.id", "conversation.user_id"],
            ondelete="CASCADE",
        ),
        Index("ix_shared_link_conversation_id", "conversation_id"),
        Index("ix_shared_link_user_id", "user_id"),
        CheckConstraint("audience IN ('public', 'signed_in')", "audience"),
    )

    #: Random; it names the link where its owner lists and revokes it, and leads nobody to it.
    id: str = Field(sa_column=Column(Text, primary_key=True))
    #: SHA-256 of the link's secret: 256 random bits need no slow hash.
    secret_hash: bytes = Field(sa_type=LargeBinary)
    user_id: int = Field(sa_type=BigInteger)
    conversation_id: int = Field(sa_type=BigInteger)
    title: str | None = Field(default=None, sa_type=Text)
    #: A JSON array of what is shown.
    messages: str = Field(sa_type=Text)
    message_count: int = Field(sa_type=Integer)
    audience: Audience = Field(sa_type=Text)
    created_at: datetime = Field(default=None, sa_column=Column(UtcDateTime, nullable=False))
    expires_at: datetime = Field(default=None, sa_column=Column(UtcDateTime, nullable=False))
