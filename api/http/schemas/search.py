"""Bodies of searches."""

from typing import Self

from pydantic import Field

from api.http.fields import Id, Role, Time
from api.http.schemas.base import Out
from api.reads import message_search


class Hit(Out):
    """A message that was found, or a conversation that was found by its title."""

    conversation_id: Id
    title: str | None = Field(examples=["Groceries"], description="The conversation's.")
    position: int = Field(examples=[1], description="The message's, 0 for a title.")
    message_id: Id | None = Field(description="Null for a title.")
    role: Role | None = Field(description="Null for a title.")
    created_at: Time
    snippet: str = Field(examples=["Buy milk tomorrow"], description="A piece of the text.")
    marks: list[tuple[int, int]] = Field(
        examples=[[(4, 8)]],
        description="What was searched for: code points of `snippet`, from and up to.",
    )

    @classmethod
    def of(cls, hit: message_search.Hit) -> Self:
        """Return a hit as clients see it."""
        return cls(
            conversation_id=hit.conversation_id,
            title=hit.title,
            position=hit.position,
            message_id=hit.message_id,
            role=hit.role,
            created_at=hit.created_at,
            snippet=hit.snippet.text,
            marks=hit.snippet.marks,
        )


class Hits(Out):
    """Some of what was found."""

    hits: list[Hit]
    next_cursor: str | None = Field(examples=[None], description="Null: there is no more.")
