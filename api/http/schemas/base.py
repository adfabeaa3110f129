"""What bodies of requests and answers have in common: snake_case, but camelCase for chat."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class In(BaseModel):
    """A request's body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """An answer's body; can be made from a row, by the names they share."""

    model_config = ConfigDict(from_attributes=True)


class CamelOut(BaseModel):
    """An answer's body of the chat calls."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
