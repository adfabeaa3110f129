"""What a model answers, gathered while its bytes are passed on unchanged."""

import json
from collections.abc import Iterable
from typing import Any, Final

from api.chat.assistants.completions import Completion, ReportedError
from api.chat.assistants.event_stream import EventDecoder, ServerEvent
from api.chat.assistants.protocol import Finish, Piece, ToolCall
from api.chat.gateway.said import name_after
from api.chat.parts import Parts
from api.core.batches import Draft
from api.core.errors import BadGateway
from api.core.text import CONTENT_MOST, Storable

_DONE: Final = "[DONE]"


class GatheredAnswer:
    """One answer as far as it came. What cannot be read ends it; nothing is raised."""

    def __init__(self) -> None:
        #: Nothing that belongs to it follows.
        self.is_over = False
        self._decoder = EventDecoder()
        self._completion = Completion()
        self._parts = Parts()
        self._calls: list[list[str]] = []
        self._storable = Storable()
        self._text = ""
        self._finish: Finish | None = None
        self._is_broken = False

    def add(self, chunk: bytes) -> None:
        """Read some more of a stream."""
        if not self._is_broken:
            self._read_all(self._decoder.add(chunk))

    def whole(self, document: str) -> None:
        """Read an answer that is not streamed."""
        self._read_all([ServerEvent("", document)])
        self.is_over = True

    def draft(self, before: str) -> Draft | None:
        """Return the message that stands for it, after the one of a name; None for no answer."""
        if not self.is_over and not self._is_broken:
            # Real servers forget the last empty line.
            self._read_all(self._decoder.end())
        for piece in self._completion.rest():
            self._take(piece)
        self._text = (self._text + self._storable.end())[:CONTENT_MOST]
        self._parts.end_thought()
        if not self._text and not self._calls:
            return None
        is_whole = self._completion.has_ended and not self._is_broken
        extra = self._parts.stored(self._finish)
        name = name_after(before, "assistant", self._text, self._calls)
        return Draft(
            *("assistant", self._text, name),
            extra=None if extra is None else _json(extra),
            status=None if is_whole else "interrupted",
        )

    def _read_all(self, events: Iterable[ServerEvent]) -> None:
        try:
            for event in events:
                if event.data.strip() == _DONE:
                    self.is_over = self._completion.has_ended = True
                elif not self.is_over:
                    for piece in self._completion.read(event):
                        self._take(piece)
        except (BadGateway, ReportedError):
            self._is_broken = True

    def _take(self, piece: Piece) -> None:
        match piece:
            case str():
                # One code point more than is kept: no answer is without end.
                room = CONTENT_MOST + 1 - len(self._text)
                self._text += self._storable.add(piece[:room]) if room > 0 else ""
            case Finish():
                self._finish = piece
            case _:
                if isinstance(piece, ToolCall):
                    self._calls.append([piece.id, piece.name, piece.arguments])
                self._parts.add(piece, at=len(self._text))


def _json(extra: dict[str, Any]) -> str:
    return json.dumps(extra, ensure_ascii=False, separators=(",", ":"))
