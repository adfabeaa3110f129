"""What the drain keeps of the log: whose it is, how far it is drained, what is dead."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlmodel import Field

from api.core.models.base import Base, UtcDateTime, counter


class DatabaseIdentity(Base, table=True):
    """One row with a random id, which binds a log to this database."""

    __tablename__ = "database_identity"
    __table_args__ = (CheckConstraint("singleton", "singleton"),)

    singleton: bool = Field(
        default=True, sa_column=Column(Boolean, primary_key=True, server_default=text("true"))
    )
    id: UUID = Field(sa_type=Uuid)


class LogPartition(Base, table=True):
    """The progress of the drain in one partition. The migration inserts all 16 rows.

    Every batch updates its rows: the low fillfactor keeps those updates on the page (HOT).
    """

    __tablename__ = "log_partition"
    __table_args__ = (
        CheckConstraint("id BETWEEN 0 AND 15", "id"),
        {"postgresql_with": {"fillfactor": 10}},
    )

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    #: Entries up to this id are settled; no entry at or below it is applied again.
    last_id: int = counter()
    applied: int = counter()
    dead: int = counter()
    discarded: int = counter()


class DeadLetter(Base, table=True):
    """An entry that PostgreSQL refused, with all its data, for an operator to settle."""

    __tablename__ = "dead_letter"

    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    #: Not unique: a log restored to an earlier state gives an id out twice, and both may be dead.
    entry_id: int = Field(sa_type=BigInteger, index=True)
    partition: int = Field(sa_type=SmallInteger)
    op: str = Field(sa_type=Text)
    user_id: int = Field(sa_type=BigInteger)
    conversation_id: int = Field(sa_type=BigInteger)
    #: The position of its `unavailable` row in `message`; null without one.
    position: int | None = Field(default=None, sa_type=BigInteger)
    #: The role and status of its message; null for other entries.
    role: str | None = Field(default=None, sa_type=Text)
    status: str | None = Field(default=None, sa_type=Text)
    #: Why, in one word: a `workers.plan.Reason`.
    reason: str = Field(sa_type=Text)
    sqlstate: str | None = Field(default=None, sa_type=Text)
    #: Bytes, since it may be a text that PostgreSQL cannot store.
    payload: bytes = Field(sa_type=LargeBinary)
    entry_created_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )
    redriven_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    discarded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    discard_note: str | None = Field(default=None, sa_type=Text)
