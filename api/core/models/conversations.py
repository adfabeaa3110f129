"""Conversations."""

from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    desc,
    text,
)
from sqlmodel import Field

from api.core.models.base import Base, JsonText, UtcDateTime


class Conversation(Base, table=True):
    """One conversation; with `deleted_at`, its tombstone."""

    __tablename__ = "conversation"
    __table_args__ = (
        # The target of message's foreign key.
        UniqueConstraint("id", "user_id"),
        Index(
            "ix_conversation_user_id_updated_at_id",
            "user_id",
            desc("updated_at"),
            desc("id"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_conversation_user_id_created_at_id",
            "user_id",
            desc("created_at"),
            desc("id"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "uq_conversation_user_id_external_id",
            "user_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL AND deleted_at IS NULL"),
        ),
        # What search does not know yet.
        Index(
            "ix_conversation_unsearched",
            "user_id",
            "id",
            postgresql_where=text("deleted_at IS NULL AND message_count > searched"),
        ),
        CheckConstraint("message_count >= 0", "message_count"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    user_id: int = Field(sa_type=BigInteger, foreign_key="user.id")
    title: str | None = Field(default=None, sa_type=Text)
    message_count: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0"))
    )
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: The owner's own id for it, unique among what is not deleted.
    external_id: str | None = Field(default=None, sa_type=Text)
    metadata_text: str | None = Field(default=None, sa_column=Column("metadata", JsonText))
    tags: list[str] | None = Field(default=None, sa_column=Column(ARRAY(Text)))
    archived_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    pinned_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: It is deleted this number of days after its last activity, if not sooner by RETENTION_DAYS.
    expires_in_days: int | None = Field(default=None, sa_type=Integer)
    #: The conversation whose first messages, up to a position, this one began with.
    forked_from: int | None = Field(default=None, sa_type=BigInteger)
    forked_at: int | None = Field(default=None, sa_type=BigInteger)
    #: The last entry that cut, edited or moved messages. No entry up to it can be checked by the
    #: rows of its messages, and none is to be applied again.
    rewritten_id: int | None = Field(default=None, sa_type=BigInteger)
    #: Search knows the messages up to this position, and the title as position 0; -1: nothing.
    searched: int = Field(
        default=-1, sa_column=Column(BigInteger, nullable=False, server_default=text("-1"))
    )
