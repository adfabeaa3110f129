"""What an assistant is to Verbatim."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from api.core.turns import File, TurnMessage


class Finish(Enum):
    """Why an answer ends before its own end. The values are OpenAI's."""

    LENGTH = "length"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Some more of what the model thinks. Pieces that follow each other are one thought."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One whole call of a tool."""

    #: Names the call in its result.
    id: str
    name: str
    #: As the model wrote them: JSON, if it kept to the protocol.
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered."""

    #: The id of its call.
    id: str
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Which model answered, and what that took. A later piece replaces an earlier one."""

    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    #: Those of `output_tokens` that were thoughts, and of `input_tokens` that came from a cache.
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


#: What an answer is made of. A str is a piece of its text.
Piece = str | Reasoning | ToolCall | ToolResult | Usage | Finish


class Assistant(Protocol):
    """Answers one message of a conversation."""

    def answer(
        self, recent: Sequence[TurnMessage], message: str, files: Sequence[File] = ()
    ) -> AsyncGenerator[Piece]:
        """Yield the answer piece by piece, and a Finish if it did not come to its own end.

        `recent` is what was said before, oldest first, without the message itself; `files` came
        with the message, whose text may then be empty. An empty text
        says that the model is at work. Pieces may hold what cannot be stored, and may be longer
        than what is kept (`api/chat/parts.py`). Raises BadGateway, GatewayTimeout or Unavailable
        when the model fails, at any piece.
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
