"""The assistant behind any endpoint that speaks OpenAI's chat completions."""

import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import openai
from openai.types.chat import ChatCompletionMessageParam

from api.core.errors import BadGateway, GatewayTimeout, SettingsError
from api.core.settings import Settings
from api.core.turns import TurnMessage

logger = logging.getLogger(__name__)

#: How often the SDK asks again after an error that may pass (429, 5xx, a lost connection).
MOST_RETRIES: Final = 1


#: Code points of the first message and of its answer that a title is made from.
TITLE_EXCERPT: Final = 500
TITLE_ORDER: Final[ChatCompletionMessageParam] = {
    "role": "system",
    "content": "Name this conversation in at most six words, in its own language. "
    "Answer with the name alone.",
}


class OpenAIAssistant:
    """Streams answers from a model."""

    def __init__(self, client: openai.AsyncOpenAI, *, model: str) -> None:
        self._client = client
        self._model = model

    @classmethod
    def from_settings(cls, settings: Settings) -> "OpenAIAssistant":
        """Open the SDK's client. Raises SettingsError without a key for OpenAI itself."""
        key = settings.openai_api_key
        if key is None and settings.openai_base_url is None:
            raise SettingsError("ASSISTANT=openai needs OPENAI_API_KEY, or OPENAI_BASE_URL")
        client = openai.AsyncOpenAI(
            # Servers of one's own often want no key; the SDK insists on one.
            api_key=key.get_secret_value() if key else "none",
            base_url=settings.openai_base_url,
            timeout=settings.openai_timeout_seconds,
            max_retries=MOST_RETRIES,
        )
        return cls(client, model=settings.openai_model)

    async def answer(self, recent: Sequence[TurnMessage], message: str) -> AsyncGenerator[str]:
        """Yield the model's words as they come."""
        with _failures():
            async for piece in self._stream([*map(_wire, recent), _asked(message)]):
                yield piece

    async def title(self, message: str, response: str) -> str | None:
        """Have the model name the conversation."""
        excerpt = f"User: {message[:TITLE_EXCERPT]}\n\nAssistant: {response[:TITLE_EXCERPT]}"
        with _failures():
            pieces = [piece async for piece in self._stream([TITLE_ORDER, _asked(excerpt)])]
        return "".join(pieces).strip().strip("\"'“”") or None

    async def close(self) -> None:
        """Close the connections to the model."""
        await self._client.close()

    async def _stream(self, messages: list[ChatCompletionMessageParam]) -> AsyncGenerator[str]:
        stream = await self._client.chat.completions.create(
            model=self._model, messages=messages, stream=True
        )
        finished = False
        async with stream:
            async for chunk in stream:
                # A chunk without a choice reports usage only.
                for choice in chunk.choices[:1]:
                    finished = finished or choice.finish_reason is not None
                    if choice.delta.content:
                        yield choice.delta.content
        if not finished:
            raise BadGateway("the model's answer broke off")


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what the SDK raises into a Problem without the provider's text."""
    try:
        yield
    except openai.APITimeoutError as error:
        logger.warning("the model timed out")
        raise GatewayTimeout("the model did not answer in time") from error
    # ValueError: a piece of the stream that is no JSON, which the SDK lets through.
    except (openai.OpenAIError, ValueError) as error:
        logger.warning("the model failed: %s", _cause(error))
        raise BadGateway("the model answered with an error") from error


def _wire(turn: TurnMessage) -> ChatCompletionMessageParam:
    if turn.role == "assistant":
        return {"role": "assistant", "content": turn.content}
    return _asked(turn.content)


def _asked(content: str) -> ChatCompletionMessageParam:
    return {"role": "user", "content": content}


def _cause(error: Exception) -> str:
    """Name what failed without its text: providers quote the prompt in their errors."""
    name = type(error).__name__
    return f"{name} {error.status_code}" if isinstance(error, openai.APIStatusError) else name
