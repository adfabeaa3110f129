"""Bodies of shared links, and of what they show."""

from typing import Annotated, Literal

from pydantic import Field, StrictInt

from api.accounts.shared_links import DAYS_MOST
from api.core.models.shared_links import Audience
from api.http.fields import EXAMPLE_LINK, EXAMPLE_SECRET, Id, Time
from api.http.schemas.base import In, Out

_Days = Annotated[StrictInt, Field(ge=1, le=DAYS_MOST, examples=[30])]


class NewSharedLink(In):
    """A link to be made."""

    audience: Audience = Field(
        default="public", description="`public`: whoever has it. `signed_in`: of these, users only."
    )
    expires_in_days: _Days = 30


class SharedLink(Out):
    """A shared link, without its secret."""

    id: str = Field(examples=[EXAMPLE_LINK])
    conversation_id: Id
    title: str | None = Field(examples=["Groceries"], description="As it was then.")
    message_count: int = Field(examples=[2])
    audience: Audience
    created_at: Time
    expires_at: Time


class CreatedSharedLink(SharedLink):
    """A shared link that was just made."""

    link: str = Field(
        examples=[f"/shared/{EXAMPLE_SECRET}"],
        description="The path of its page, with its secret: shown this once.",
    )


class SharedLinks(Out):
    """The shared links of an account."""

    links: list[SharedLink]


class SharedMessage(Out):
    """A message as it was when its conversation was shared."""

    role: Literal["user", "assistant"]
    content: str = Field(examples=["Buy milk tomorrow"])
    status: Literal["stored", "interrupted"]


class SharedConversation(Out):
    """What a link shows."""

    title: str | None = Field(examples=["Groceries"])
    created_at: Time = Field(description="When it was shared.")
    expires_at: Time
    messages: list[SharedMessage]


class Imported(Out):
    """A conversation that was imported from a link."""

    id: Id
    entry_id: Id = Field(description="Serves as `read_after`.")
    messages: int = Field(examples=[2], description="Those that were added.")
