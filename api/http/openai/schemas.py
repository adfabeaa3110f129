"""Bodies of OpenAI's protocol."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.core import batches
from api.http.fields import EXAMPLE_ID
from api.http.json_objects import not_too_deep
from api.http.openai import names
from api.http.schemas.base import In

_EXAMPLE: Final = names.of_conversation(EXAMPLE_ID)
_EXAMPLE_ITEM: Final = names.of_item(EXAMPLE_ID)


def _not_too_deep(item: dict[str, Any]) -> dict[str, Any]:
    # As a message's `extra` has it.
    not_too_deep({"item": item})
    return item


NewItem = Annotated[
    dict[str, Any],
    AfterValidator(_not_too_deep),
    Field(
        description="An item of any kind, of 256 KiB as it is written: it comes back as that text.",
        examples=[{"role": "user", "content": "Buy milk tomorrow"}],
    ),
]
NewItems = Annotated[list[NewItem], Field(max_length=batches.MOST)]
OpenAIMetadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16, examples=[{"topic": "groceries"}]),
]


class NewOpenAIConversation(In):
    """A conversation to be opened, with its first items."""

    metadata: OpenAIMetadata | None = None
    items: NewItems | None = Field(default=None, description="Its first ones, all or none.")


class OpenAIConversationChange(In):
    """What is to change of a conversation."""

    metadata: OpenAIMetadata | None = Field(description="In place of all of it; null: none.")


class NewOpenAIItems(In):
    """Items to be added, all or none."""

    items: NewItems


class OpenAIConversation(BaseModel):
    """A conversation, as OpenAI's protocol shows it."""

    id: str = Field(examples=[_EXAMPLE])
    object: Literal["conversation"]
    created_at: int = Field(examples=[1795426200], description="Seconds since 1970.")
    metadata: dict[str, Any] = Field(examples=[{"topic": "groceries"}])


class DeletedOpenAIConversation(BaseModel):
    """A conversation that was deleted."""

    id: str = Field(examples=[_EXAMPLE])
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class OpenAIItem(BaseModel):
    """An item, as it was written but for its id."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=[_EXAMPLE_ITEM])


class OpenAIConversations(BaseModel):
    """One page of the list of conversations."""

    object: Literal["list"]
    data: list[OpenAIConversation]
    first_id: str | None = Field(examples=[_EXAMPLE])
    last_id: str | None = Field(examples=[_EXAMPLE], description="`after` of the next page.")
    has_more: bool = Field(examples=[False])


class OpenAIItems(BaseModel):
    """Some of a conversation's items."""

    object: Literal["list"]
    data: list[OpenAIItem]
    first_id: str | None = Field(examples=[_EXAMPLE_ITEM])
    last_id: str | None = Field(examples=[_EXAMPLE_ITEM], description="`after` of the next page.")
    has_more: bool = Field(examples=[False])
