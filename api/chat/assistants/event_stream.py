"""Server-sent events of a model's server, decoded without trust.

The format is the HTML standard's (section 9.2.6). Every line and event is bounded while it is
read, so one without end is never held.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from api.core.errors import BadGateway

#: Most bytes of one event: a whole answer in one, escaped, has 1.2 MB at most.
EVENT_MOST_BYTES: Final = 2 * 1024 * 1024
#: Most bytes of one answer's stream, thoughts and comments included.
STREAM_MOST_BYTES: Final = 128 * 1024 * 1024

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event that has data."""

    #: Empty where it has none.
    name: str
    data: str


async def events(chunks: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """Yield the events of a body; comments, ids and events without data are passed over.

    An event that the body's end cuts short counts, as real servers forget the last empty line.
    Raises BadGateway for an event, or a stream, that is larger than any answer.
    """
    decoder = EventDecoder()
    async for chunk in chunks:
        for event in decoder.add(chunk):
            yield event
    for event in decoder.end():
        yield event


class EventDecoder:
    """Decodes a body chunk by chunk, with the same bounds."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._event = _Event()
        self._size = 0

    def add(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that are whole by now."""
        self._size += len(chunk)
        if self._size > STREAM_MOST_BYTES:
            raise BadGateway("the model's answer has no end")
        for line in self._lines.add(chunk):
            if (complete := self._event.take(line)) is not None:
                yield complete

    def end(self) -> Iterator[ServerEvent]:
        """Yield the event that the body's end cut short."""
        for line in (self._lines.rest(), b""):
            if (complete := self._event.take(line)) is not None:
                yield complete


async def whole(chunks: AsyncIterable[bytes]) -> str:
    """Return a body that is one document. Raises BadGateway for one larger than any answer."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > EVENT_MOST_BYTES:
            raise _too_large()
    return bytes(body).removeprefix(_BYTE_ORDER_MARK).decode(errors="replace")


class _Lines:
    """Splits bytes at CR, LF and CRLF, wherever they are cut."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._is_first = True
        self._skips_lf = False

    def add(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete by now, without their ends."""
        if not chunk:
            return
        fresh = chunk.removeprefix(b"\n") if self._skips_lf else chunk
        for line in fresh.splitlines(keepends=True):
            content = line.rstrip(b"\r\n")
            self._rest += content
            if len(self._rest) > EVENT_MOST_BYTES:
                raise _too_large()
            if len(content) < len(line):
                yield self.rest()
        self._skips_lf = chunk.endswith(b"\r")

    def rest(self) -> bytes:
        """Take what follows the last line's end."""
        line = bytes(self._rest)
        self._rest.clear()
        if self._is_first:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            self._is_first = False
        return line


class _Event:
    """Gathers the lines of one event after the other."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def take(self, line: bytes) -> ServerEvent | None:
        """Add a line; return the event if the line, being empty, ends one that has data."""
        if not line:
            return self._end()
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode(errors="replace")
        if field == b"event":
            self._name = text
        elif field == b"data":
            self._data.append(text)
            self._size += len(line)
            if self._size > EVENT_MOST_BYTES:
                raise _too_large()
        return None

    def _end(self) -> ServerEvent | None:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data, self._size = "", [], 0
        return ServerEvent(name, data) if data.strip() else None


def _too_large() -> BadGateway:
    return BadGateway("the model's server sent an event that is too large")
