"""Server-sent events, out of bytes as they come.

Lines end as the standard says, at CR, LF or both. Splitting text by its lines instead would also
split it at U+2028 and the like, which answers may have.
"""

import re
from dataclasses import dataclass
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True)
class RawEvent:
    """An event: its name, its data, and its id if it has one of its own."""

    name: str
    data: str
    id: str | None


class EventParser:
    """Takes bytes, gives events. What is not yet whole waits for more."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._name = ""
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[RawEvent]:
        """Return the events that are whole now."""
        events = []
        text = self._rest + chunk
        # A CR at the end may be half of a line's end.
        held = b"\r" if text.endswith(b"\r") else b""
        *lines, rest = _LINE_END.split(text[: len(text) - len(held)])
        self._rest = rest + held
        for line in lines:
            if line:
                self._take(line.decode("utf-8", "replace"))
                continue
            if self._data:  # a comment and an empty line are no event
                events.append(RawEvent(self._name or "message", "\n".join(self._data), self._id))
            self._clear()
        return events

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id":
            self._id = value

    def _clear(self) -> None:
        self._data, self._name, self._id = [], "", None
