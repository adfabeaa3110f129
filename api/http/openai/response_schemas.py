"""Bodies of OpenAI's responses."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.core import batches
from api.core.text import CONTENT_MOST
from api.http.fields import EXAMPLE_ID, storable
from api.http.json_objects import not_too_deep
from api.http.openai import names
from api.http.openai.schemas import NewItem, OpenAIItem, OpenAIMetadata

_EXAMPLE: Final = names.of_response(EXAMPLE_ID, EXAMPLE_ID)
_EXAMPLE_CONVERSATION: Final = names.of_conversation(EXAMPLE_ID)

_Object = Annotated[dict[str, Any], AfterValidator(not_too_deep)]
_Text = Annotated[str, AfterValidator(storable)]
_Named = Annotated[_Text, Field(max_length=255)]


class ConversationId(BaseModel):
    """A conversation, as an object."""

    id: str = Field(examples=[_EXAMPLE_CONVERSATION])


class NewOpenAIResponse(BaseModel):
    """What the model is asked. Parameters that are not listed are ignored."""

    model_config = ConfigDict(extra="allow")

    input: (
        Annotated[_Text, Field(min_length=1, max_length=CONTENT_MOST)]
        | Annotated[list[NewItem], Field(min_length=1)]
    ) = Field(
        description=f"A text, or items: {batches.MOST} at most, unless nothing is stored.",
        examples=["Buy milk tomorrow"],
    )
    model: _Named | None = Field(default=None, description="By default, OPENAI_MODEL.")
    instructions: _Text | None = Field(default=None, description="What the model is told first.")
    conversation: str | ConversationId | None = Field(
        default=None, description="The one that it goes on; by default a new one."
    )
    previous_response_id: str | None = Field(
        default=None, description="The response that it comes after, in place of a conversation."
    )
    stream: bool | None = Field(default=None, description="Whether the answer comes as events.")
    background: bool | None = Field(default=None, description="The answer is not waited for.")
    store: bool | None = Field(default=None, description="false: nothing is stored.")
    metadata: OpenAIMetadata | None = None
    tools: list[_Object] | None = Field(default=None, description="Of type function only.")
    tool_choice: str | _Object | None = Field(default=None, examples=["auto"])
    parallel_tool_calls: bool | None = Field(default=None, examples=[True])
    text: _Object | None = Field(default=None, description="`format`, and `verbosity`.")
    reasoning: _Object | None = Field(default=None, description="Its `effort` is passed on.")
    temperature: float | None = Field(default=None, ge=0, le=2, examples=[1])
    top_p: float | None = Field(default=None, ge=0, le=1, examples=[1])
    max_output_tokens: int | None = Field(default=None, ge=1, examples=[1000])
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: _Named | None = Field(default=None, examples=["default"])
    user: _Named | None = Field(default=None, examples=["customer 7"])
    safety_identifier: _Named | None = Field(default=None, examples=["customer 7"])
    prompt_cache_key: _Named | None = Field(default=None, examples=["shop"])


class OpenAIResponse(BaseModel):
    """A response, with what it was asked with."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=[_EXAMPLE])
    object: Literal["response"] = "response"
    created_at: int = Field(examples=[1795426200], description="Seconds since 1970.")
    status: Literal["in_progress", "completed", "incomplete", "cancelled", "failed"]
    model: str = Field(examples=["gpt-5-mini"])
    output: list[OpenAIItem]
    usage: dict[str, Any] | None = Field(examples=[None])
    error: dict[str, Any] | None = Field(examples=[None])
    conversation: ConversationId | None


class DeletedOpenAIResponse(BaseModel):
    """A response that was deleted."""

    id: str = Field(examples=[_EXAMPLE])
    object: Literal["response"] = "response"
    deleted: Literal[True] = True
