"""The events of a response's stream, made of what the log holds of its turn.

Each entry there makes the same events whenever it is read, so their numbers are the same for all
who watch, and a stream can be resumed after any of them.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, NamedTuple

from api.chat.responses import outputs
from api.chat.responses.telling import Ended, Failed, Told
from api.core.errors import Problem
from api.core.turns import Said
from api.http.openai import names, response_documents
from api.http.openai.errors import error_document
from api.http.openai.response_documents import Document

#: How a response's stream ends, by how the response did.
_LAST: Final = {"completed": "response.completed", "failed": "response.failed"}


#: A line that all clients skip.
_HEARTBEAT: Final = b": ping\n"


class Event(NamedTuple):
    """One event."""

    type: str
    number: int
    fields: dict[str, Any]

    def encode(self) -> bytes:
        """Return it as a server-sent event."""
        data = {"type": self.type, "sequence_number": self.number, **self.fields}
        return b"event: %b\ndata: %b\n\n" % (
            self.type.encode(),
            json.dumps(data, ensure_ascii=False).encode(),
        )


async def encoded(
    told: AsyncIterator[Told], running: Document, turn_id: int, after: int | None = None
) -> AsyncIterator[bytes]:
    """Yield the events of a response that come after one of a number, and the stream's end."""
    try:
        async for event in _events(told, running, turn_id, after):
            if event is None:
                yield _HEARTBEAT
            elif after is None or event.number > after:
                yield event.encode()
    except Problem as problem:
        # Too late for a status: the SDKs raise what such an event says.
        yield b"event: error\ndata: %b\n\n" % error_document(problem)
    yield b"data: [DONE]\n\n"


async def whole(told: AsyncIterator[Told], running: Document) -> Document:
    """Return a response once it has ended. Raises a Problem where it has no answer."""
    async for one in told:
        if isinstance(one, Ended):
            return response_documents.ended(running, one.outputs)
        if isinstance(one, Failed):
            raise one.problem
    raise AssertionError("a response has an end")


async def _events(
    told: AsyncIterator[Told], running: Document, turn_id: int, after: int | None
) -> AsyncIterator["Event | None"]:
    made = ResponseEvents(turn_id)
    for event in made.begin(running):
        yield event
    async for one in told:
        match one:
            case None:
                yield None
            case Ended(outputs, is_all):
                ended = response_documents.ended(running, outputs)
                number = after + 1 if is_all and after is not None else None
                for event in made.end(ended, number):
                    yield event
            case Failed():
                for event in made.end(response_documents.failed(running, one.problem.detail)):
                    yield event
            case _:
                for event in made.said(one):
                    yield event


class ResponseEvents:
    """Makes the events of one response, in order. `turn_id` names its items."""

    def __init__(self, turn_id: int) -> None:
        self._turn_id = turn_id
        self._number = 0
        #: Items that are whole.
        self._items = 0
        #: The text of the message that is being said, None while none is.
        self._text: list[str] | None = None

    def begin(self, response: Document) -> Iterator[Event]:
        """Yield what tells of the response itself."""
        yield self._event("response.created", response=response)
        yield self._event("response.in_progress", response=response)

    def said(self, one: Said) -> Iterator[Event]:
        """Yield what an entry makes that is not the last one."""
        if one.kind == "delta":
            yield from self._delta(one.text)
        elif item := outputs.of_part(json.loads(one.text)["part"]):
            yield from self._message_done(None)
            yield from self._whole(item)

    def end(self, response: Document, number: int | None = None) -> Iterator[Event]:
        """Yield what was not shown yet of what is stored, and the end.

        With a `number` the end alone, with that number: all before is known.
        """
        if number is None:
            yield from self._rest(response["output"])
        else:
            self._number = number
        yield self._event(_LAST.get(response["status"], "response.incomplete"), response=response)

    def _rest(self, output: list[Document]) -> Iterator[Event]:
        if self._text is not None:
            final = output[self._items] if self._items < len(output) else {}
            yield from self._message_done(final if final.get("type") == "message" else None)
        for item in output[self._items :]:
            yield from self._whole(item)

    def _whole(self, item: Document) -> Iterator[Event]:
        """Yield an item that comes in one piece."""
        match item:
            case {"type": "message", "content": [{"text": str(text)}, *_]}:
                yield from self._delta(text)
                yield from self._message_done(item)
            case {"type": "reasoning", "content": [{"text": str(text)}, *_]}:
                yield from self._thought(item, text)
            case {"type": "function_call", "name": _, "arguments": str(arguments)}:
                yield from self._call(item, arguments)
            case _:
                yield self._added(item)
                yield from self._item_done(item)

    def _delta(self, text: str) -> Iterator[Event]:
        if self._text is None:
            self._text = []
            yield self._added(outputs.message("", "in_progress"))
            yield self._of_part("response.content_part.added", part=_part(""))
        self._text.append(text)
        yield self._of_part("response.output_text.delta", delta=text, logprobs=[])

    def _message_done(self, final: Document | None) -> Iterator[Event]:
        """Yield the end of the message that is being said, if one is; `final` is what is stored."""
        if self._text is None:
            return
        shown = "".join(self._text)
        match final:
            case {"content": [{"text": str(stored)}, *_]}:
                pass
            case _:
                stored = shown
        if stored.startswith(shown) and len(stored) > len(shown):
            yield from self._delta(stored[len(shown) :])
        text = stored if stored.startswith(shown) else shown
        yield self._of_part("response.output_text.done", text=text, logprobs=[])
        yield self._of_part("response.content_part.done", part=_part(text))
        self._text = None
        yield from self._item_done(outputs.message(text, (final or {}).get("status", "completed")))

    def _thought(self, item: Document, text: str) -> Iterator[Event]:
        part = {"type": "reasoning_text", "text": text}
        yield self._added(item | {"content": [], "status": "in_progress"})
        named = {"item_id": self._named(item)["id"]}
        yield self._of_part("response.content_part.added", part=part | {"text": ""}, **named)
        yield self._of_part("response.reasoning_text.delta", delta=text, **named)
        yield self._of_part("response.reasoning_text.done", text=text, **named)
        yield self._of_part("response.content_part.done", part=part, **named)
        yield from self._item_done(item)

    def _call(self, item: Document, arguments: str) -> Iterator[Event]:
        yield self._added(item | {"arguments": "", "status": "in_progress"})
        of = {"item_id": self._named(item)["id"], "output_index": self._items}
        yield self._event("response.function_call_arguments.delta", **of, delta=arguments)
        yield self._event(
            "response.function_call_arguments.done", **of, name=item["name"], arguments=arguments
        )
        yield from self._item_done(item)

    def _added(self, item: Document) -> Event:
        of = {"output_index": self._items, "item": self._named(item)}
        return self._event("response.output_item.added", **of)

    def _item_done(self, item: Document) -> Iterator[Event]:
        of = {"output_index": self._items, "item": self._named(item)}
        yield self._event("response.output_item.done", **of)
        self._items += 1

    def _of_part(self, kind: str, **fields: Any) -> Event:
        item_id = names.of_output(self._turn_id, self._items, "message")
        of = {"item_id": item_id, "output_index": self._items, "content_index": 0}
        return self._event(kind, **(of | fields))

    def _named(self, item: Document) -> Document:
        name = names.of_output(self._turn_id, self._items, item.get("type"))
        return {"id": name, **{field: one for field, one in item.items() if field != "id"}}

    def _event(self, kind: str, **fields: Any) -> Event:
        number = self._number
        self._number += 1
        return Event(kind, number, fields)


def _part(text: str) -> Document:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
