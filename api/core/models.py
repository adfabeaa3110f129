"""The tables (design: docs/architecture.md). Only the drain and redrive write chat data.

Ids of conversations and messages are made by the log's accept script, never by PostgreSQL.
"""

from datetime import UTC, datetime
from typing import ClassVar, Literal, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    desc,
    func,
    text,
)
from sqlmodel import Field, SQLModel

Role = Literal["user", "assistant"]
#: `unavailable` is a dead message: its place is kept, its content lies in `dead_letter`.
Status = Literal["stored", "interrupted", "unavailable"]


class UtcDateTime(TypeDecorator[datetime]):
    """A `timestamptz` that is read back in UTC, whatever the session's time zone is."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        """Refuse a time without a zone: PostgreSQL would guess one."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time needs a time zone")
        return value

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        """Convert what the session's time zone made of it."""
        return None if value is None else value.astimezone(UTC)


class Base(SQLModel):
    """What the tables share: names of constraints that autogenerate finds again."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _counter() -> int:
    """Declare a counter that starts at zero."""
    zero = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    return cast("int", zero)


class User(Base, table=True):
    """Somebody who can sign in. Names and addresses are unique without regard to case."""

    __tablename__ = "user"
    __table_args__ = (
        Index("uq_user_username", text("lower(username)"), unique=True),
        Index("uq_user_email", text("lower(email)"), unique=True),
    )

    id: int = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    username: str = Field(sa_type=Text)
    email: str = Field(sa_type=Text)
    password_hash: str = Field(sa_type=Text)
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )


class SignInSession(Base, table=True):
    """Somebody signed in, until they sign out or stay away too long."""

    __tablename__ = "session"

    #: Random; also in access tokens, so that they end with it.
    id: str = Field(sa_column=Column(Text, primary_key=True))
    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("user.id"), nullable=False, index=True)
    )
    #: SHA-256 of what renews it: 256 random bits need no slow hash.
    secret_hash: bytes = Field(sa_type=LargeBinary)
    #: Its secret changes at each renewal, and a second use of one ends it. A browser's does not:
    #: no script can read it, and pages of one browser renew it at the same time.
    rotates: bool
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )
    renewed_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )


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


class Message(Base, table=True):
    """One message. Its order is `position`, 1 to n without gaps, never its id."""

    __tablename__ = "message"
    __table_args__ = (
        # Also serves every page, and the foreign key's check when a conversation goes.
        UniqueConstraint("conversation_id", "position"),
        # The database itself refuses a message under somebody else than the conversation's owner.
        ForeignKeyConstraint(
            ["conversation_id", "user_id"], ["conversation.id", "conversation.user_id"]
        ),
        CheckConstraint("position > 0", "position"),
        CheckConstraint("role IN ('user', 'assistant')", "role"),
        CheckConstraint("status IN ('stored', 'interrupted', 'unavailable')", "status"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    conversation_id: int = Field(sa_type=BigInteger)
    user_id: int = Field(sa_type=BigInteger)
    position: int = Field(sa_type=BigInteger)
    role: Role = Field(sa_type=Text)
    content: str = Field(sa_type=Text)
    status: Status = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)


class LogPartition(Base, table=True):
    """How far one partition of the log has been drained. The migration makes all 16 rows.

    Every batch updates its rows: the low fillfactor keeps those updates on the page (HOT).
    """

    __tablename__ = "log_partition"
    __table_args__ = (
        CheckConstraint("id BETWEEN 0 AND 15", "id"),
        {"postgresql_with": {"fillfactor": 10}},
    )

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    #: Entries up to this id are in PostgreSQL; nothing at or below it is ever applied again.
    last_id: int = _counter()
    applied: int = _counter()
    dead: int = _counter()
    discarded: int = _counter()


class DeadLetter(Base, table=True):
    """An entry that PostgreSQL will not take, whole, for an operator to redrive or discard."""

    __tablename__ = "dead_letter"

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    #: Not unique: a log that went back in time gives an id out twice, and both may be refused.
    entry_id: int = Field(sa_type=BigInteger, index=True)
    partition: int = Field(sa_type=SmallInteger)
    op: str = Field(sa_type=Text)
    user_id: int = Field(sa_type=BigInteger)
    conversation_id: int = Field(sa_type=BigInteger)
    #: Where an unavailable row stands for it in `message`; null for what is no message.
    position: int | None = Field(default=None, sa_type=BigInteger)
    #: The role and status its message would have had.
    role: str | None = Field(default=None, sa_type=Text)
    status: str | None = Field(default=None, sa_type=Text)
    #: Why, in one word: a `workers.plan.Reason`.
    reason: str = Field(sa_type=Text)
    sqlstate: str | None = Field(default=None, sa_type=Text)
    #: Bytes, since what failed may be no text that PostgreSQL takes.
    payload: bytes = Field(sa_type=LargeBinary)
    entry_created_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )
    redriven_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    discarded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    discard_note: str | None = Field(default=None, sa_type=Text)


class DatabaseIdentity(Base, table=True):
    """One row, random: tells which log belongs to this database."""

    __tablename__ = "database_identity"
    __table_args__ = (CheckConstraint("singleton", "singleton"),)

    singleton: bool = Field(
        default=True, sa_column=Column(Boolean, primary_key=True, server_default=text("true"))
    )
    id: UUID = Field(sa_type=Uuid)
