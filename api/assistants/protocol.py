"""What an assistant is to Verbatim."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from api.accept import TurnMessage


class Assistant(Protocol):
    """Answers one message of a conversation."""

    def answer(self, recent: Sequence[TurnMessage], message: str) -> AsyncGenerator[str]:
        """Yield the answer piece by piece.

        `recent` is what was said before, oldest first, without the message itself. Raises
        BadGateway or GatewayTimeout when the model fails, at any piece.
        """
        ...

    async def close(self) -> None:
        """Let go of what the assistant holds open."""
        ...
