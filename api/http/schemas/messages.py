"""Bodies of messages."""

from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from api.core import batches
from api.core.models.messages import Status
from api.http.fields import AnyContent, ExternalId, Extra, Id, Role, Time
from api.http.schemas.base import In, Out
from api.http.schemas.feedback import Feedback


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
    status: Status = Field(examples=["stored"])
    created_at: Time
    external_id: str | None = Field(default=None, examples=[None])
    extra: Extra | None = Field(default=None, examples=[None])
    edited_at: Time | None = Field(default=None, examples=[None])
    aside: int = Field(
        default=0, examples=[0], description="Other messages that once had this position."
    )
    feedback: Feedback | None = Field(
        default=None, examples=[None], description="What its owner said of an answer."
    )


class Messages(Out):
    """Some of a conversation's messages."""

    messages: list[Message]
    total: int = Field(examples=[1], description="All messages of the conversation.")
    limit: int = Field(examples=[50])
    offset: int = Field(examples=[0])
