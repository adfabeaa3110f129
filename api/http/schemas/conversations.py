"""Bodies of conversations."""

from typing import Any, Self, cast

from pydantic import Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from api.core.conversation_fields import ConversationFields
from api.core.models import conversations as models
from api.core.times import unix_ms
from api.http.fields import Days, ExternalId, Id, Metadata, PastTime, Tags, Time, Title
from api.http.schemas.base import In, Out


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


class Tag(Out):
    """A tag of conversations."""

    tag: str = Field(examples=["work"])
    conversations: int = Field(examples=[3], description="How many have it.")


class TagList(Out):
    """The tags of an owner's conversations."""

    tags: list[Tag]


class Change(Out):
    """A change that was accepted."""

    id: Id
    entry_id: Id = Field(description="Serves as `read_after`.")
