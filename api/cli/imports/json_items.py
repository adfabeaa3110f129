"""The objects of a JSON file, one after another, in constant memory.

A file is an array of objects, an object that has such an array, a single object, or JSON lines. The
text of each object is cut out by counting brackets, then parsed alone: an object that is broken or
too deep costs only itself. (Parsers of events end at the first error, and ijson, the best known,
ends too at half a surrogate pair and takes quadratic memory for what is nested deeply.)
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from api.cli.imports.report import Report

#: Bytes of one object, at most; parsed it takes several times as much.
ITEM_MOST_BYTES: Final = 64 * 1024 * 1024
CHUNK_BYTES: Final = 1024 * 1024
_MARK: Final = b"\xef\xbb\xbf"
#: What stands before the next bracket, whole strings included, and the bracket; or the quote of a
#: string that goes on beyond the piece; or nothing at its end.
_OUTSIDE: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+(["{}\[\]]?)', re.DOTALL)
_OPENING: Final = (b"{", b"[")
_CLOSING: Final = (b"}", b"]")
_INSIDE: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
#: An object that only holds the array: its next key is not one of a message of ShareGPT.
_WRAPPER: Final = re.compile(
    rb'\s*\{[^{}\[\]]*"(?:conversations|chats)"\s*:\s*\[\s*(?:\]|\{(?!\s*"(?:from|value)"))'
)

Read = Callable[[int], bytes]


def read_items(read: Read, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each object of a file with its number in it; count what is none, and why.

    `read` returns up to as many bytes as it is asked for, none at the end.
    """
    head = read(CHUNK_BYTES).removeprefix(_MARK)
    chunks = chain([head], iter(lambda: read(CHUNK_BYTES), b""))
    start = head.lstrip()[:1]
    if start == b"[":
        found = _cut(chunks, depth=1)
    elif _WRAPPER.match(head):
        found = _cut(chunks, depth=2)
    elif start == b"{" and not _has_lines(head):
        found = _cut(chunks, depth=0)
    else:
        found = split_lines(chunks)
    for number, piece in enumerate(found, 1):
        report.item = number
        if piece is None:
            report.fail("conversation of more than 64 MiB, or one that is cut off")
        elif (item := _parse(piece, report)) is not None:
            yield number, item


def _parse(piece: bytes, report: Report) -> dict[str, Any] | None:
    try:
        item = json.loads(piece, strict=False, parse_constant=lambda _: None)
    except RecursionError:
        report.fail("conversation that is nested too deeply")
    except ValueError:  # also for text that is no UTF-8
        report.fail("broken JSON")
    else:
        if isinstance(item, dict):
            return item
        report.leave_out("JSON that is no conversation")
    return None


def _has_lines(head: bytes) -> bool:
    """Tell whether a file is JSON lines, not one object on several lines."""
    if head.count(b"\n") == 0:
        return True
    # Two lines: the first may be a broken one.
    return any(_is_object(line) for line in head.split(b"\n", 2)[:2])


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def split_lines(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    """Yield each line that is not blank; None for one of more than ITEM_MOST_BYTES.

    Only a line feed ends one: a text in JSON may hold other characters that end lines elsewhere.
    """
    held, too_long = bytearray(), False
    for chunk in chain(chunks, [b"\n"]):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            if too_long:
                yield None
            elif held or end.strip():
                held += end
                if held.strip():
                    yield bytes(held)
            held, too_long = bytearray(), False
        held += rest
        if len(held) > ITEM_MOST_BYTES:
            held, too_long = bytearray(), True


def _cut(chunks: Iterator[bytes], depth: int) -> Iterator[bytes | None]:
    """Yield the text of each object that is `depth` brackets deep; None for an unfinished one."""
    cutter = _Cutter(depth)
    for chunk in chunks:
        yield from cutter.feed(chunk)
    if cutter.is_inside:
        yield None


class _Cutter:
    def __init__(self, depth: int) -> None:
        self._outer = depth
        self._depth = 0
        self._in_string = False
        #: The end of a piece that says nothing yet: a backslash.
        self._rest = b""
        self._held = bytearray()
        self._too_long = False

    @property
    def is_inside(self) -> bool:
        """An object has begun and not ended."""
        return self._depth > self._outer

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """Take the next bytes; yield the objects that end in them."""
        data, at = self._rest + chunk, 0
        if self._in_string:
            at = _end_of_string(data, 0)
            self._in_string = data[at : at + 1] != b'"'
            # A quote that ends the string is not one that begins another.
            at += not self._in_string
        begin = 0
        for token in () if self._in_string else _OUTSIDE.finditer(data, at):
            kind, at = token[1], token.end()
            if kind == b'"':  # the string goes on in the next chunk
                self._in_string, at = True, _end_of_string(data, at)
                break
            if kind in _OPENING:
                begin = token.start(1) if self._depth == self._outer else begin
                self._depth += 1
            elif kind in _CLOSING:
                self._depth = max(self._depth - 1, 0)
                if self._depth == self._outer:
                    yield self._taken(data[begin:at])
                    begin = at
        self._rest = data[at:] if self._in_string else b""
        if self.is_inside:
            self._hold(data[begin : len(data) - len(self._rest)])

    def _hold(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) > ITEM_MOST_BYTES:
            self._too_long, self._held = True, bytearray()

    def _taken(self, end: bytes) -> bytes | None:
        self._hold(end)
        taken = None if self._too_long else bytes(self._held)
        self._held, self._too_long = bytearray(), False
        return taken


def _end_of_string(data: bytes, at: int) -> int:
    """Return where a string ends that goes on at `at`: at its quote, or at the end of the data."""
    found = _INSIDE.match(data, at)
    return found.end() if found else at
