"""What the events of a chat completion say, whichever server sent them.

Nothing is validated on the way here, and servers differ: what says nothing is passed over, what
says error is a failure, and an answer that has ended is whole whatever follows.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from api.chat.assistants.event_stream import ServerEvent
from api.chat.assistants.protocol import Finish, Piece, Reasoning, Usage
from api.chat.assistants.tool_calls import ToolCalls
from api.core.errors import BadGateway

#: After an answer's end its usage may follow; a server that then says nothing more is not waited
#: for.
AFTER_END_SECONDS: Final = 1.0

_DONE: Final = "[DONE]"
#: Names of events that hold a completion's chunk, or an error; others are foreign to the protocol.
_OWN_EVENTS: Final = frozenset({"", "message", "error"})
#: What servers call an end that is not the answer's own.
_FINISHES: Final = {
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
    "safety": Finish.CONTENT_FILTER,
    "recitation": Finish.CONTENT_FILTER,
    "refusal": Finish.CONTENT_FILTER,
}


class ReportedError(Exception):
    """An error that a provider reported in the middle of its answer."""

    def __init__(self, body: object) -> None:
        super().__init__("the model's server reported an error")
        self.body = body


class Completion:
    """Reads one completion, event by event."""

    def __init__(self) -> None:
        self.has_ended = False
        self.finish: Finish | None = None
        self._has_spoken = False
        self._calls = ToolCalls()
        self._model: str | None = None
        self._usage: Usage | None = None

    async def pieces(self, events: AsyncIterator[ServerEvent]) -> AsyncIterator[Piece]:
        """Yield the answer, as an assistant's is yielded. Raises BadGateway, ReportedError."""
        while (event := await self._next(events)) is not None:
            if event.data.strip() == _DONE:
                self.has_ended = True
                break
            for piece in self.read(event):
                yield piece
        if not self.has_ended:
            raise BadGateway("the model's answer broke off")
        for piece in self.rest():
            yield piece

    def rest(self) -> Iterator[Piece]:
        """Yield what is sure only when nothing more follows."""
        yield from self._calls.take()
        if self._usage or self._model:
            yield replace(self._usage or Usage(), model=self._model)
        if self.finish is not None:
            yield self.finish

    def read(self, event: ServerEvent) -> Iterator[Piece]:
        """Yield what an event says; "" where it shows the model at work, nothing if it does not."""
        try:
            chunk = json.loads(event.data)
        except (ValueError, RecursionError):
            if self.has_ended or event.name not in _OWN_EVENTS:
                return
            raise BadGateway("the model's server sent what is no JSON") from None
        if not self.has_ended and (error := _error_in(event.name, chunk)) is not None:
            raise ReportedError(error)
        self._note(chunk)
        choice = _choice(chunk)
        if choice is not None:
            yield from self._read_choice(choice)

    def _note(self, chunk: Any) -> None:
        """Remember which model answers, and what that took. The last chunk that tells counts."""
        if not isinstance(chunk, dict):
            return
        if isinstance(model := chunk.get("model"), str):
            self._model = model or self._model
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = _usage(usage)

    def _read_choice(self, choice: dict[str, Any]) -> Iterator[Piece]:
        reason = choice.get("finish_reason")
        if reason == "error" or (choice.get("error") and not self.has_ended):
            raise ReportedError(choice.get("error"))
        said = self._said(choice)
        words = _text_of(said.get("content")) + _text_of(said.get("refusal"))
        self._has_spoken = self._has_spoken or bool(words or said.get("tool_calls"))
        if thought := _thought_of(said):
            yield from self._calls.take()
            yield Reasoning(thought)
        if words:
            yield from self._calls.take()
        yield words
        self._calls.add(said.get("tool_calls"))
        if reason:
            self.has_ended = True
            self.finish = _FINISHES.get(str(reason).lower())

    def _said(self, choice: dict[str, Any]) -> dict[str, Any]:
        # A server that does not stream sends a message; one that does may repeat all at its end.
        said = choice.get("delta") or (None if self._has_spoken else choice.get("message"))
        return said if isinstance(said, dict) else {}

    async def _next(self, events: AsyncIterator[ServerEvent]) -> ServerEvent | None:
        if not self.has_ended:
            return await anext(events, None)
        # The answer is whole: whatever goes wrong from here on takes nothing from it.
        with suppress(Exception):
            async with asyncio.timeout(AFTER_END_SECONDS):
                return await anext(events, None)
        return None


def _choice(chunk: object) -> dict[str, Any] | None:
    """Return the choice that was asked for, the first; None where a chunk has none."""
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    if not isinstance(choices, list):
        return None
    return next(
        (one for one in choices if isinstance(one, dict) and one.get("index") in (0, None)), None
    )


def _text_of(content: object) -> str:
    """Return what a content says: a text, or parts of which some are texts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(
        part["text"]
        for part in content
        if isinstance(part, dict)
        and part.get("type", "text") == "text"
        and isinstance(part.get("text"), str)
    )


def _thought_of(said: dict[str, Any]) -> str:
    """Return what a model thinks, under whichever name; a server may say it under both."""
    for name in ("reasoning_content", "reasoning"):
        if (thought := said.get(name)) and isinstance(thought, str):
            return thought
    content = said.get("content")
    return "".join(
        _text_of(part.get("thinking"))
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and part.get("type") == "thinking"
    )


def _usage(told: dict[str, Any]) -> Usage:
    """Return what a server told of its tokens. What is no count is dropped where it is stored."""
    inputs, outputs = told.get("prompt_tokens_details"), told.get("completion_tokens_details")
    return Usage(
        input_tokens=told.get("prompt_tokens"),
        output_tokens=told.get("completion_tokens"),
        reasoning_tokens=outputs.get("reasoning_tokens") if isinstance(outputs, dict) else None,
        cached_tokens=inputs.get("cached_tokens") if isinstance(inputs, dict) else None,
    )


def _error_in(name: str, chunk: Any) -> Any:
    """Return what an event reports as an error, None if it reports none."""
    if not isinstance(chunk, dict):
        return {} if name == "error" else None
    is_error = "error" in (name, chunk.get("object"), chunk.get("type"))
    return chunk.get("error") or (chunk if is_error else None)
