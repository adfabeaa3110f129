"""What an assistant is to Verbatim."""

from collections.abc import AsyncGenerator, Sequence
from enum import Enum
from typing import Protocol

from api.core.turns import TurnMessage


class Finish(Enum):
    """Why an answer ends before its own end. The values are OpenAI's."""

    LENGTH = "length"
    CONTENT_FILTER = "content_filter"


class Assistant(Protocol):
    """Answers one message of a conversation."""

    def answer(self, recent: Sequence[TurnMessage], message: str) -> AsyncGenerator[str | Finish]:
        """Yield the answer piece by piece, and last a Finish if it did not come to its own end.

        `recent` is what was said before, oldest first, without the message itself. An empty piece
        says that the model is at work. Pieces may hold what cannot be stored. Raises BadGateway,
        GatewayTimeout or Unavailable when the model fails, at any piece.
        """
        ...

    async def title(self, message: str, response: str) -> str | None:
        """Return a title for a conversation that began so; None to make it from the message.

        It may come with what surrounds titles: thoughts, Markdown, quotation marks. Raises
        BadGateway, GatewayTimeout or Unavailable when the model fails.
        """
        ...

    async def close(self) -> None:
        """Let go of what the assistant holds open."""
        ...
