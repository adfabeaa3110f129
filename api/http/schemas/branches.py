"""Bodies of branches and copies."""

from pydantic import Field

from api.core import batches
from api.http.fields import EXAMPLE_ID, Id, Time, Title
from api.http.schemas.base import In, Out


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
    first_id: Id = Field(description="The first of them.")
    messages: int = Field(examples=[2], description="How many they are.")
    aside_at: Time
    fits: bool = Field(
        examples=[True], description="That message is in `messages`: one can switch to it."
    )


class Branches(Out):
    """What was put aside of a conversation."""

    branches: list[Branch]
