"""Files, and which messages name them."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    desc,
    func,
)
from sqlmodel import Field

from api.core.file_kinds import MediaType
from api.core.models.base import Base, UtcDateTime


class Asset(Base, table=True):
    """A file that a user uploaded, for messages to name. It goes with the last one that does."""

    __tablename__ = "asset"
    __table_args__ = (
        Index("ix_asset_user_id_created_at_id", "user_id", desc("created_at"), desc("id")),
        CheckConstraint(
            "media_type IN ('image/png', 'image/jpeg', 'image/gif', 'image/webp', 'text/plain')",
            "media_type",
        ),
    )

    #: Random, with a signature of its owner (`api.core.assets`).
    id: str = Field(sa_column=Column(Text, primary_key=True))
    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("user.id", ondelete="CASCADE"), nullable=False)
    )
    name: str = Field(sa_type=Text)
    #: What its bytes are, whatever its sender called them.
    media_type: MediaType = Field(sa_type=Text)
    #: In bytes.
    size: int = Field(sa_type=Integer)
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )
    #: None: they are in the bucket (`api.core.bucket`), under its id.
    data: bytes | None = Field(sa_column=Column(LargeBinary, nullable=True))


class AssetUse(Base, table=True):
    """A message that names an asset, wherever the message is: in its line, or aside.

    Without a foreign key to the asset, which its owner may delete while a message is on its way.
    """

    __tablename__ = "asset_use"
    __table_args__ = (
        Index("ix_asset_use_message_id", "message_id"),
        Index("ix_asset_use_conversation_id", "conversation_id"),
        Index("ix_asset_use_user_id", "user_id"),
    )

    asset_id: str = Field(sa_column=Column(Text, primary_key=True))
    message_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    conversation_id: int = Field(sa_type=BigInteger)
    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("user.id", ondelete="CASCADE"), nullable=False)
    )


class AssetLeftover(Base, table=True):
    """An object of the bucket that is to be deleted, unless its upload ends long before `due_at`.

    Without a foreign key to the user: it outlives the account.
    """

    __tablename__ = "asset_leftover"
    __table_args__ = (Index("ix_asset_leftover_due_at", "due_at"),)

    #: The asset's, which is gone, or not there yet.
    id: str = Field(sa_column=Column(Text, primary_key=True))
    user_id: int = Field(sa_type=BigInteger)
    due_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )
