"""Accounts: users, their sign-in sessions and API keys."""

from datetime import datetime
from typing import Literal

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlmodel import Field

from api.core.caller import Scope
from api.core.models.base import Base, UtcDateTime

#: Whom an API key acts for: its account, or the subjects of that account.
ActsFor = Literal["self", "subjects"]

#: A user's id: (ms since 2025-01-01T00:00Z) << 12 | 12 random bits, like a message's. So none is
#: given out twice, even by a database that was restored. Written as PostgreSQL shows it.
_USER_ID = text(
    "((((floor((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric)))::bigint"
    " - '1735689600000'::bigint) << 12) | (floor((random() * (4096)::double precision)))::bigint)"
)


class User(Base, table=True):
    """An account that can sign in.

    Names and addresses are unique without regard to the case of ASCII letters. The collation says
    so: without it the database's locale decides, and a Turkish small `I` is no `i`.
    """

    __tablename__ = "user"
    __table_args__ = (
        Index("uq_user_username", text('lower(username COLLATE "C")'), unique=True),
        Index("uq_user_email", text('lower(email COLLATE "C")'), unique=True),
        Index("ix_user_owner_id", "owner_id", postgresql_where=text("owner_id IS NOT NULL")),
    )

    id: int = Field(
        default=None, sa_column=Column(BigInteger, primary_key=True, server_default=_USER_ID)
    )
    username: str = Field(sa_type=Text)
    email: str = Field(sa_type=Text)
    password_hash: str = Field(sa_type=Text)
    #: Of a subject: the account whose API keys act for it, which cannot go before it.
    owner_id: int | None = Field(
        default=None, sa_column=Column(BigInteger, ForeignKey("user.id"), nullable=True)
    )
    #: Its conversations are deleted this number of days after their last activity, if not sooner.
    expires_in_days: int | None = Field(default=None, sa_type=Integer)
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )


class SignInSession(Base, table=True):
    """A sign-in session: it ends by signing out, or when it was not renewed for too long."""

    __tablename__ = "session"

    #: Random; also in access tokens, so that they can be revoked with the session.
    id: str = Field(sa_column=Column(Text, primary_key=True))
    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("user.id"), nullable=False, index=True)
    )
    #: SHA-256 of the refresh token's secret: 256 random bits need no slow hash.
    secret_hash: bytes = Field(sa_type=LargeBinary)
    #: Whether the secret changes at each renewal, so that reuse of an old one ends the session. A
    #: browser's does not: no script can read it, and several pages may renew it at the same time.
    rotates: bool
    #: Which program on which system signed in, as far as it said so.
    device: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )
    renewed_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )


class ApiKey(Base, table=True):
    """A key of an account for programs: it lasts until it is revoked, which deletes its row."""

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint(
            "cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'write', 'chat']", "scopes"
        ),
        CheckConstraint("acts_for IN ('self', 'subjects')", "acts_for"),
    )

    #: The owner's id in hexadecimal and a random number: a key tells whose row to look for.
    id: str = Field(sa_column=Column(Text, primary_key=True))
    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("user.id"), nullable=False, index=True)
    )
    name: str = Field(sa_type=Text)
    #: SHA-256 of its secret: 256 random bits need no slow hash.
    secret_hash: bytes = Field(sa_type=LargeBinary)
    scopes: list[Scope] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    acts_for: ActsFor = Field(sa_type=Text)
    created_at: datetime = Field(
        default=None, sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )
