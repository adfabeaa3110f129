"""What an assistant is to Verbatim."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from api.core.turns import TurnMessage


class Assistant(Protocol):
    """Answers one message of a conversation."""

    def answer(self, recent: Sequence[TurnMessage], message: str) -> AsyncGenerator[str]:
        """Yield the answer piece by piece.

        `recent` is what was said before, oldest first, without the message itself. Raises
        BadGateway or GatewayTimeout when the model fails, at any piece.
        """
        ...

    async def title(self, message: str, response: str) -> str | None:
        """Return a title for a conversation that began so; None to make it from the message.

        Raises BadGateway or GatewayTimeout when the model fails.
        """
        ...

    async def close(self) -> None:
        """Let go of what the assistant holds open."""
        ...
