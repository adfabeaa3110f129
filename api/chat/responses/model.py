"""The model that answers a response: the gateway's endpoint, with the request's own parameters."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from api.chat.assistants.protocol import Piece
from api.core.turns import File, TurnMessage


class Endpoint(Protocol):
    """What speaks OpenAI's chat completions (`api.chat.assistants.openai`)."""

    @property
    def model(self) -> str:
        """The model that is asked unless a request names one."""
        ...

    def complete(self, messages: list[Any], more: Mapping[str, Any]) -> AsyncGenerator[Piece]:
        """Yield a completion of messages; `more` are parameters of the request."""
        ...


class ResponseModel:
    """Answers one response, as an assistant answers a turn."""

    def __init__(
        self, endpoint: Endpoint, messages: Sequence[Any], parameters: Mapping[str, Any]
    ) -> None:
        self._endpoint = endpoint
        self._messages = messages
        self._parameters = parameters

    async def answer(
        self, recent: Sequence[TurnMessage], message: str, files: Sequence[File] = ()
    ) -> AsyncGenerator[Piece]:
        """Yield what the model says. Of `recent` only what the system says is new to it."""
        del message, files
        told: list[Any] = [
            {"role": "system", "content": one.content} for one in recent if one.role == "system"
        ]
        async for piece in self._endpoint.complete([*told, *self._messages], self._parameters):
            yield piece

    async def title(self, message: str, response: str) -> str | None:
        """Offer none: a response's conversation has one from its question."""
        del message, response
        return None

    async def close(self) -> None:
        """Leave the endpoint open: it is not this response's alone."""
