"""The assistant behind any endpoint that speaks OpenAI's chat completions."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from http import HTTPStatus
from typing import Any, Final

import openai
from openai import AsyncAPIResponse, AsyncStream
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from api.chat.assistants.bodies import shorten_unless_answer
from api.chat.assistants.completions import Completion
from api.chat.assistants.event_stream import ServerEvent, events, whole
from api.chat.assistants.prompt import prompt
from api.chat.assistants.protocol import Piece
from api.chat.assistants.provider_errors import (
    as_problems,
    as_refusals,
    is_unknown_parameter,
    is_used_up,
    retry_after,
)
from api.core.errors import SettingsError
from api.core.settings import Settings
from api.core.text import CONTENT_MOST, cut
from api.core.turns import File, TurnMessage

_Response = AsyncAPIResponse[AsyncStream[ChatCompletionChunk]]

#: How often a request is repeated after an error that may pass (429, 5xx, a lost connection).
MOST_RETRIES: Final = 1
#: Seconds before that, unless the provider asks to wait. A longer wait is left to the client.
RETRY_SECONDS: Final = 0.5
RETRY_SECONDS_MOST: Final = 2.0

#: Code points of the first message and of its answer that a title is made from.
TITLE_EXCERPT: Final = 500
TITLE_ORDER: Final[ChatCompletionMessageParam] = {
    "role": "system",
    "content": "Name this conversation in at most six words, in its own language. "
    "Answer with the name alone.",
}

_MAY_PASS: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
)


class OpenAIAssistant:
    """Streams answers from a model."""

    def __init__(
        self, client: openai.AsyncOpenAI, *, model: str, takes_images: bool = True
    ) -> None:
        self._client = client
        self._model = model
        self._takes_images = takes_images
        #: False once the server said that it does not know the option.
        self._asks_for_usage = True
        # The SDK imports this at its first use, which would hold up the event loop.
        self._create = client.chat.completions.with_streaming_response.create

    @property
    def model(self) -> str:
        """The model that is asked unless a request names one."""
        return self._model

    @classmethod
    def from_settings(cls, settings: Settings) -> "OpenAIAssistant":
        """Open the SDK's client. Raises SettingsError without a key for OpenAI itself."""
        key = settings.openai_api_key
        if key is None and settings.openai_base_url is None:
            raise SettingsError("ASSISTANT=openai needs OPENAI_API_KEY, or OPENAI_BASE_URL")
        first, silence = settings.openai_timeout_seconds, settings.openai_silence_seconds
        client = openai.AsyncOpenAI(
            # Servers of one's own often want no key; the SDK insists on one.
            api_key=key.get_secret_value() if key else "none",
            base_url=settings.openai_base_url,
            timeout=max(first, silence or first),
            # The SDK would wait out a Retry-After of up to a minute.
            max_retries=0,
            # A compressed stream could be far larger than what is counted on its way.
            default_headers={"Accept-Encoding": "identity"},
            http_client=openai.DefaultAsyncHttpx2Client(
                event_hooks={"response": [shorten_unless_answer]}
            ),
        )
        takes_images = settings.openai_images == "on"
        return cls(client, model=settings.openai_model, takes_images=takes_images)

    async def answer(
        self, recent: Sequence[TurnMessage], message: str, files: Sequence[File] = ()
    ) -> AsyncGenerator[Piece]:
        """Yield what the model says as it comes."""
        asked = prompt(recent, message, files, with_images=self._takes_images)
        with as_problems():
            async with aclosing(self._stream(asked)) as stream:
                async for piece in stream:
                    yield piece

    async def complete(
        self, messages: list[ChatCompletionMessageParam], more: Mapping[str, Any]
    ) -> AsyncGenerator[Piece]:
        """Yield a completion of these very messages; `more` are parameters of the request.

        Raises as `answer` does, and NotAllowed, with the provider's words, for what it refuses.
        """
        with as_problems(), as_refusals():
            async with aclosing(self._stream(messages, more)) as stream:
                async for piece in stream:
                    yield piece

    async def title(self, message: str, response: str) -> str | None:
        """Have the model name the conversation."""
        message, response = cut(message, TITLE_EXCERPT), cut(response, TITLE_EXCERPT)
        excerpt = f"User: {message}\n\nAssistant: {response}"
        title = ""
        with as_problems():
            stream = self._stream([TITLE_ORDER, {"role": "user", "content": excerpt}])
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    title += piece if isinstance(piece, str) else ""
                    if len(title) > CONTENT_MOST:
                        break
        return title or None

    async def close(self) -> None:
        """Close the connections to the model."""
        await self._client.close()

    async def _stream(
        self, messages: list[ChatCompletionMessageParam], more: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[Piece]:
        async with AsyncExitStack() as stack:
            response = await self._request(stack, messages, more)
            async with aclosing(_events_of(response)) as answered:
                async for piece in Completion().pieces(answered):
                    yield piece

    async def _request(
        self,
        stack: AsyncExitStack,
        messages: list[ChatCompletionMessageParam],
        more: Mapping[str, Any] | None,
        retries: int = MOST_RETRIES,
    ) -> _Response:
        """Ask the model; the response is closed with the stack."""
        asks_for_usage = self._asks_for_usage
        try:
            return await stack.enter_async_context(
                self._create(
                    model=self._model,
                    messages=messages,
                    stream=True,
                    stream_options={"include_usage": True} if asks_for_usage else openai.omit,
                    extra_body=more,
                )
            )
        except openai.APIError as error:
            if asks_for_usage and is_unknown_parameter(error):
                self._asks_for_usage = False
                return await self._request(stack, messages, more, retries)
            wait = _wait_before_retry(error)
            if not retries or wait is None:
                raise
        await asyncio.sleep(wait)
        return await self._request(stack, messages, more, retries - 1)


async def _events_of(response: _Response) -> AsyncGenerator[ServerEvent]:
    """Yield the events of an answer. One that is not streamed is a single event."""
    body = response.iter_bytes()
    if response.headers.get("content-type", "").startswith("application/json"):
        yield ServerEvent("", await whole(body))
    else:
        async for event in events(body):
            yield event


def _wait_before_retry(error: openai.APIError) -> float | None:
    """Return how many seconds to wait before asking again, None if that is of no use."""
    if isinstance(error, openai.APIStatusError):
        may_pass = error.status_code in _MAY_PASS or error.status_code >= 500  # noqa: PLR2004
        if not may_pass or is_used_up(error):
            return None
        asked = retry_after(error.response.headers)
        wait = RETRY_SECONDS if asked is None else asked
        return wait if wait <= RETRY_SECONDS_MOST else None
    is_timeout = isinstance(error, openai.APITimeoutError)
    return (
        RETRY_SECONDS if isinstance(error, openai.APIConnectionError) and not is_timeout else None
    )
