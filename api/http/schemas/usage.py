"""Bodies of what models took for one's answers."""

from pydantic import Field

from api.http.fields import Id
from api.http.schemas.base import Out


class Sums(Out):
    """Tokens of some answers, and how many these were."""

    answers: int = Field(examples=[3], description="Those whose model told their tokens.")
    input_tokens: int = Field(examples=[420])
    output_tokens: int = Field(examples=[128])


class DayUsage(Sums):
    """What one day took."""

    day: str = Field(examples=["2026-11-23"], json_schema_extra={"format": "date"})


class ConversationUsage(Sums):
    """What one conversation took."""

    conversation_id: Id


class TokenLimit(Out):
    """The limit of tokens of a day."""

    tokens_per_day: int = Field(examples=[100_000])
    tokens_today: int = Field(examples=[548])
    seconds_left: int = Field(examples=[3600], description="Until a new day begins, in UTC.")


class Usage(Sums):
    """What models took for one's answers."""

    days: list[DayUsage]
    conversations: list[ConversationUsage] = Field(description="Up to 100 that took most.")
    limit: TokenLimit | None = Field(description="Null where there is none.")
