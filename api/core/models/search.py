"""What search knows."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, desc
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field

from api.core.models.base import Base, UtcDateTime


class MessageSearch(Base, table=True):
    """The words of a message, or of a conversation's title as position 0, for search.

    Without foreign keys: it is written after what it is made of, and removed before that.
    """

    __tablename__ = "message_search"
    __table_args__ = (
        Index(
            "ix_message_search_latest",
            "user_id",
            desc("created_at"),
            desc("conversation_id"),
            desc("position"),
        ),
        Index("ix_message_search_words", "words", postgresql_using="gin"),
    )

    conversation_id: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False)
    )
    position: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    user_id: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime)
    #: Each word begins with its owner (`api.core.search_query`).
    words: str = Field(sa_type=TSVECTOR)
