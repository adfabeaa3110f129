"""Bodies of requests and answers: snake_case for conversations, camelCase for chat."""

from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from api.chat.answers import Answered
from api.core import batches, models
from api.core.caller import SCOPES, Scope
from api.core.conversation_fields import ConversationFields
from api.core.times import unix_ms
from api.http.fields import (
    EXAMPLE_ID,
    EXAMPLE_KEY,
    EXAMPLE_SESSION,
    AnyContent,
    Content,
    Days,
    Email,
    ExternalId,
    Extra,
    Id,
    KeyName,
    Metadata,
    Password,
    PastTime,
    Role,
    SignInText,
    Tags,
    Time,
    Title,
    Username,
    session_id,
)


class In(BaseModel):
    """A request's body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """An answer's body; can be made from a row, by the names they share."""

    model_config = ConfigDict(from_attributes=True)


class CamelOut(BaseModel):
    """An answer's body of the chat calls."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


# Accounts


class Registration(In):
    """A new account."""

    username: Username
    email: Email
    password: Password


class Login(In):
    """A sign-in."""

    username: SignInText
    password: SignInText


class Token(Out):
    """An access token, and the refresh token that gets the next one."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIs…"])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the RFC's word, no secret
    expires_in: int = Field(examples=[900], description="Seconds.")
    refresh_token: str = Field(
        examples=["1.kP0…"],
        description="Gets the next pair from `POST /auth/refresh`. Valid once: reuse revokes the "
        "session.",
    )


class Renewal(In):
    """A session to be renewed."""

    refresh_token: SignInText


class Farewell(In):
    """An account to be deleted."""

    password: SignInText = Field(
        default="", description="Needed where the account has one: all but identity providers'."
    )


class NewPassword(In):
    """A password to be replaced."""

    current_password: SignInText
    new_password: Password


class User(Out):
    """An account."""

    id: int = Field(examples=[1])
    username: str = Field(examples=["ada"])
    email: str = Field(examples=["ada@example.com"])
    created_at: Time


# API keys


class NewKey(In):
    """An API key to be made."""

    name: KeyName
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))] = Field(
        default=list(SCOPES),
        description="`read` conversations, `write` them, `chat` with the assistant.",
    )
    acts_for: models.ActsFor = Field(
        default="self",
        description="`self`: this account. `subjects`: people whom each request names.",
    )


class Key(Out):
    """An API key, without its secret."""

    id: str = Field(examples=[EXAMPLE_KEY])
    name: str = Field(examples=["nightly import"])
    scopes: list[Scope]
    acts_for: models.ActsFor
    created_at: Time


class CreatedKey(Key):
    """An API key that was just made."""

    key: str = Field(
        examples=[f"vbk_{EXAMPLE_KEY}_9f86d08…"], description="Shown this once; keep it secret."
    )


class Keys(Out):
    """The API keys of an account."""

    keys: list[Key]


# Conversations


class NewConversation(In):
    """A conversation to be opened."""

    title: Title | None = None
    external_id: ExternalId | None = Field(
        default=None, description="Your own id. A conversation that has it already is answered."
    )
    metadata: Metadata | None = None
    tags: Tags | None = None
    expires_in_days: Days | None = None
    created_at: PastTime | None = Field(
        default=None, description="For imports: when it began, from 1970 until now."
    )

    def fields(self, metadata: str | None) -> ConversationFields:
        """Return what is said of it, as the log takes it; the metadata as they were written."""
        fields: ConversationFields = {}
        if self.title is not None:
            fields["title"] = self.title
        if self.external_id is not None:
            fields["external_id"] = self.external_id
        if metadata is not None:
            fields["metadata"] = metadata
        if self.tags:
            fields["tags"] = self.tags
        if self.expires_in_days is not None:
            fields["expires_in_days"] = self.expires_in_days
        if self.created_at is not None:
            fields["created_at"] = unix_ms(self.created_at)
        return fields


class ConversationChange(In):
    """What is to change of a conversation. What is left out stays."""

    title: Title = Field(default_factory=str)
    metadata: Metadata | None = Field(default=None, description="In place of all of it; null: none")
    tags: Tags = Field(default_factory=list)
    archived: StrictBool = Field(default_factory=bool, examples=[True])
    pinned: StrictBool = Field(default_factory=bool, examples=[True])
    expires_in_days: Days | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            names = ", ".join(type(self).model_fields)
            raise PydanticCustomError("change", "At least one of {names}", {"names": names})
        return self

    @property
    def is_title_only(self) -> bool:
        """Nothing but the title is to change."""
        return self.model_fields_set == {"title"}

    def fields(self, metadata: str | None) -> ConversationFields:
        """Return what is said, as the log takes it; the metadata as they were written."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        if "metadata" in said:
            said["metadata"] = metadata
        return cast("ConversationFields", said)


class Conversation(Out):
    """A conversation."""

    id: Id
    user_id: int = Field(examples=[1])
    title: str | None = Field(examples=["Groceries"])
    created_at: Time
    updated_at: Time
    message_count: int = Field(examples=[2])
    external_id: str | None = Field(default=None, examples=["thread-42"])
    metadata: dict[str, Any] | None = Field(default=None, examples=[{"source": "app"}])
    tags: list[str] | None = Field(default=None, examples=[["work"]])
    archived_at: Time | None = Field(default=None, examples=[None])
    pinned_at: Time | None = Field(default=None, examples=[None])
    expires_in_days: int | None = Field(default=None, examples=[None])
    forked_from: int | None = Field(default=None, examples=[None])
    forked_at: int | None = Field(default=None, examples=[None], description="A position.")

    @classmethod
    def of(cls, row: models.Conversation) -> Self:
        """Return what is shown of a row, but for its metadata."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields.keys() - {"metadata"}})


class Conversations(Out):
    """One page of the list."""

    conversations: list[Conversation]
    total: int = Field(examples=[1], description="All conversations, not only this page's.")
    limit: int = Field(examples=[20])
    offset: int = Field(examples=[0])
    next_cursor: str | None = Field(
        examples=[None], description="`cursor` of the next page; null at the end."
    )


class Change(Out):
    """A change that was accepted."""

    id: Id
    entry_id: Id = Field(description="Serves as `read_after`.")


class NewMessage(In):
    """A message to be added."""

    role: Role
    external_id: ExternalId | None = None
    extra: Extra | None = None
    #: After `extra`, which decides whether it may be empty.
    content: AnyContent = Field(
        default="", description="May be empty with `extra`.", validate_default=True
    )

    @field_validator("content")
    @classmethod
    def _says_something(cls, content: str, info: ValidationInfo) -> str:
        if not content and info.data.get("extra", ...) is None:
            raise PydanticCustomError("content", "It is empty, and there is no `extra`")
        return content


class ChangedMessage(In):
    """What is to be changed of a message."""

    content: AnyContent = Field(default="", description="May be empty with `extra`.")
    extra: Extra | None = Field(default=None, description="Null removes it.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "There is nothing to be changed")
        if "content" in self.model_fields_set and not self.content and self.extra is None:
            raise PydanticCustomError("content", "content: it is empty, and there is no `extra`")
        return self


class NewMessages(In):
    """Messages to be added, all or none."""

    messages: list[NewMessage] = Field(min_length=1, max_length=batches.MOST)

    @model_validator(mode="after")
    def _have_ids_of_their_own(self) -> Self:
        known: set[str] = set()
        for place, message in enumerate(self.messages):
            if message.external_id in known:
                raise PydanticCustomError(
                    "external_id", "messages.{place}: its external_id came before", {"place": place}
                )
            if message.external_id is not None:
                known.add(message.external_id)
        return self


class QueuedMessage(Out):
    """A message that was accepted."""

    id: Id
    user_id: int = Field(examples=[1])
    conversation_id: Id
    role: Role
    content: str = Field(examples=["Buy milk tomorrow"])
    created_at: Time
    status: Literal["queued"] = "queued"
    external_id: str | None = Field(default=None, examples=[None])


class QueuedMessages(Out):
    """Messages that were accepted, all of them."""

    messages: list[QueuedMessage]
    entry_id: Id = Field(description="Serves as `read_after`: that of the last one.")


class Message(Out):
    """A stored message."""

    id: Id
    user_id: int = Field(examples=[1])
    conversation_id: Id
    position: int = Field(examples=[1], description="1 to n within its conversation, no gaps.")
    role: Role
    content: str = Field(examples=["Buy milk tomorrow"], description="Empty if unavailable.")
    status: models.Status = Field(examples=["stored"])
    created_at: Time
    external_id: str | None = Field(default=None, examples=[None])
    extra: Extra | None = Field(default=None, examples=[None])
    edited_at: Time | None = Field(default=None, examples=[None])
    aside: int = Field(
        default=0, examples=[0], description="Other messages that once had this position."
    )


class Messages(Out):
    """Some of a conversation's messages."""

    messages: list[Message]
    total: int = Field(examples=[1], description="All messages of the conversation.")
    limit: int = Field(examples=[50])
    offset: int = Field(examples=[0])


class Fork(In):
    """A conversation to be copied up to a position."""

    position: int = Field(ge=1, le=batches.FORK_MOST, examples=[2])
    title: Title | None = None


class Branch(Out):
    """Messages that were put aside together."""

    id: Id
    position: int = Field(examples=[3], description="Of the first of them.")
    parent_id: int | None = Field(
        examples=[EXAMPLE_ID], description="The message that they follow; null for none."
    )
    messages: int = Field(examples=[2], description="How many they are.")
    aside_at: Time
    fits: bool = Field(
        examples=[True], description="That message is in `messages`: one can switch to it."
    )


class Branches(Out):
    """What was put aside of a conversation."""

    branches: list[Branch]


# Chat


class SessionStarted(CamelOut):
    """A chat session."""

    session_id: str = Field(examples=[EXAMPLE_SESSION])
    conversation_id: Id
    message: str = Field(examples=["Hello! What can I do for you?"])


class ChatMessage(In):
    """A user's message to the assistant."""

    message: Content
    replaces: Id | None = Field(
        default=None,
        description="The user's message in whose place it comes. That and all after it are put "
        "aside as a branch.",
    )
    #: Older clients send it; the user is the token's.
    userId: Any = Field(  # noqa: N815 - the clients' spelling
        default=None, description="Ignored.", deprecated=True, examples=[None]
    )


class ChatAnswer(CamelOut):
    """The assistant's answer."""

    response: str = Field(examples=["You said: “Buy milk tomorrow”"])
    intent: str | None = Field(default=None, examples=[None])
    processed: bool = Field(default=True, examples=[True])
    session_id: str = Field(examples=[EXAMPLE_SESSION])
    conversation_id: Id
    message_id: Id
    reply_id: Id
    status: str = Field(
        default="stored", examples=["stored"], description="interrupted: it was cut short."
    )
    finish: str | None = Field(
        default=None,
        examples=[None],
        description="length or content_filter: why it ends before its own end, where known.",
    )
    extra: dict[str, Any] | None = Field(
        default=None,
        examples=[None],
        description="What belongs to the answer besides its text: thoughts, tool calls, usage.",
    )

    @classmethod
    def of(cls, conversation_id: int, answered: Answered) -> "ChatAnswer":
        """Return the answer of a finished turn."""
        return cls(
            response=answered.response,
            session_id=session_id(conversation_id),
            conversation_id=conversation_id,
            message_id=answered.message_id,
            reply_id=answered.reply_id,
            status=answered.status,
            finish=answered.finish,
            extra=answered.extra,
        )


class RunningTurn(CamelOut):
    """A streamed turn that is running."""

    message_id: Id
    started_at: Time


class RunningTurns(CamelOut):
    """The streamed turns of a session that are running."""

    turns: list[RunningTurn]


class Stop(In):
    """The turn to stop."""

    turn: Id | None = Field(default=None, description="The turn's `messageId`; without it, all.")


class Stopped(CamelOut):
    """The turns that were asked to stop."""

    stopped: list[int] = Field(description="Their turns' `messageId`.")


class HistoryMessage(CamelOut):
    """One message of a session."""

    id: Id
    session_id: str = Field(examples=[EXAMPLE_SESSION])
    sender: Literal["user", "ai"]
    content: str = Field(examples=["Buy milk tomorrow"])
    timestamp: Time
    intent: str | None = Field(default=None, examples=[None])
    processed: bool = Field(examples=[True], description="An answer was accepted.")


class History(CamelOut):
    """Some of a session's messages, oldest first."""

    messages: list[HistoryMessage]
    total_count: int = Field(examples=[2], description="All messages of the session.")
    session_id: str = Field(examples=[EXAMPLE_SESSION])
    conversation_id: Id


class SessionEnded(CamelOut):
    """A session that takes no more messages."""

    message: str = Field(examples=["The session has ended."])
    session_id: str = Field(examples=[EXAMPLE_SESSION])
    entry_id: Id = Field(description="Serves as `read_after`.")


# Health


class Alive(Out):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Out):
    """The process is ready."""

    status: Literal["ready"] = "ready"
    log: Literal["open"] = "open"
    database: Literal["up", "read_only", "down"] = Field(
        description="Chat works without it; history waits. `read_only`: nobody can sign in or "
        "register, and messages wait in the log."
    )
    broker: Literal["up", "down"] = Field(
        description="`down`: no worker hears a doorbell, so messages wait in the log."
    )
