"""Bodies of the chat calls; the answers are in camelCase."""

import json
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.chat.answers import Answered
from api.core import assets
from api.http.fields import EXAMPLE_SESSION, AnyContent, Extra, Id, Time, session_id
from api.http.schemas.assets import Attachment
from api.http.schemas.base import CamelOut, In


class SessionStarted(CamelOut):
    """A chat session."""

    session_id: str = Field(examples=[EXAMPLE_SESSION])
    conversation_id: Id
    message: str = Field(examples=["Hello! What can I do for you?"])


class ChatMessage(In):
    """A user's message to the assistant."""

    attachments: list[Attachment] | None = Field(
        default=None,
        max_length=assets.MOST,
        examples=[None],
        description="Files that were uploaded, in its `extra`.",
    )
    extra: Extra | None = Field(default=None, examples=[None])
    #: After `attachments`, which decide whether it may be empty.
    message: AnyContent = Field(description="May be empty with `attachments`.")
    replaces: Id | None = Field(
        default=None,
        description="The user's message in whose place it comes. That and all after it are put "
        "aside as a branch.",
    )

    @field_validator("message")
    @classmethod
    def _says_something(cls, message: str, info: ValidationInfo) -> str:
        if not message and not info.data.get("attachments", ...):
            raise PydanticCustomError("message", "It is empty, and there are no `attachments`")
        return message

    @field_validator("extra")
    @classmethod
    def _names_the_files(
        cls, extra: dict[str, Any] | None, info: ValidationInfo
    ) -> dict[str, Any] | None:
        if extra is not None and info.data.get("attachments"):
            raise PydanticCustomError("extra", "With `extra`, it is that which names the files")
        return extra

    @property
    def extra_of_files(self) -> str | None:
        """What is stored beside the text for `attachments`, as JSON."""
        if not self.attachments:
            return None
        return json.dumps(
            {assets.FIELD: [one.model_dump() for one in self.attachments]}, ensure_ascii=False
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
