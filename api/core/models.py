"""The tables (docs/architecture.md). Only the drain and `verbatim dead redrive` write chat data.

Ids of conversations and messages are made by the log's accept script, never by PostgreSQL.
"""

from datetime import UTC, date, datetime
from typing import Any, ClassVar, Literal, cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
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
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.types import UserDefinedType
from sqlmodel import Field, SQLModel

from api.core.caller import Scope

Role = Literal["user", "assistant", "system", "tool"]
#: Whom an API key acts for: its account, or the subjects of that account.
ActsFor = Literal["self", "subjects"]
#: Whom a shared link shows a conversation: everybody who has it, or of these who is signed in.
Audience = Literal["public", "signed_in"]
#: `unavailable`: a dead message, which keeps its position; its content is in `dead_letter`.
#: `deleted`: it was deleted alone, and keeps its position without its content.
Status = Literal["stored", "interrupted", "unavailable", "deleted"]


class UtcDateTime(TypeDecorator[datetime]):
    """A `timestamptz` that is read back in UTC, whatever the session's time zone is."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        """Return the value. Raises ValueError for a time without a zone, which would be guessed."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time needs a time zone")
        return value

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy calls it so
    ) -> datetime | None:
        """Return the time in UTC."""
        return None if value is None else value.astimezone(UTC)


class JsonText(UserDefinedType[str]):
    """A `json` that is read as the text it is: the same text that was written.

    Not `jsonb`, which refuses an escaped NUL, sorts keys, and drops all but the last of equal ones.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in SQL."""
        return "JSON"

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Have PostgreSQL send the text; the driver would make an object of it."""
        return column.cast(Text)


class Base(SQLModel):
    """Base of the tables: their metadata, with names for constraints that Alembic can compare."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


#: A user's id: (ms since 2025-01-01T00:00Z) << 12 | 12 random bits, like a message's. So none is
#: given out twice, even by a database that was restored. Written as PostgreSQL shows it.
_USER_ID = text(
    "((((floor((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric)))::bigint"
    " - '1735689600000'::bigint) << 12) | (floor((random() * (4096)::double precision)))::bigint)"
)


def _counter() -> int:
    """Declare a counter that starts at zero."""
    zero = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default=text("0")))
    return cast("int", zero)


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


class TokenUsage(Base, table=True):
    """What models took for a user's answers in one conversation on one day (UTC), as they told.

    It stays when the answers or the conversation go, and goes with the account.
    """

    __tablename__ = "token_usage"

    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
    )
    day: date = Field(sa_column=Column(Date, primary_key=True))
    conversation_id: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False)
    )
    answers: int = Field(sa_type=BigInteger)
    input_tokens: int = Field(sa_type=BigInteger)
    output_tokens: int = Field(sa_type=BigInteger)


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
    last_id: int = _counter()
    applied: int = _counter()
    dead: int = _counter()
    discarded: int = _counter()


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


class DatabaseIdentity(Base, table=True):
    """One row with a random id, which binds a log to this database."""

    __tablename__ = "database_identity"
    __table_args__ = (CheckConstraint("singleton", "singleton"),)

    singleton: bool = Field(
        default=True, sa_column=Column(Boolean, primary_key=True, server_default=text("true"))
    )
    id: UUID = Field(sa_type=Uuid)
