"""The end of an append-only file that a loss of power has torn.

Redis cuts off the command that is not whole, and leaves the commands of its transaction before it.
They take effect at the start after the next one, together with the next transaction: an entry that
was promised to nobody, counted as accepted and never drained.
"""

import mmap
from pathlib import Path
from typing import Final

_NEWLINE: Final = b"\r\n"
#: Of a line that holds a number.
_LINE_MOST: Final = 24


class _MalformedError(Exception):
    """Not short, but wrong: nothing that a loss of power leaves."""


def mend(path: Path) -> int:
    """Cut off what is not whole, with the transaction it belongs to; return bytes cut.

    A file that is malformed is left as it is, for Redis to refuse.
    """
    size = path.stat().st_size
    if size == 0:
        return 0
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                whole = _whole_until(data)
            except _MalformedError:
                return 0
        file.truncate(whole)
    return size - whole


def _whole_until(data: mmap.mmap) -> int:
    """Return where the last whole command, or transaction, ends."""
    at = whole = 0
    in_transaction = False
    while (command := _command(data, at)) is not None:
        name, at = command
        if name in {b"multi", b"exec"}:
            in_transaction = name == b"multi"
        if not in_transaction:
            whole = at
    return whole


def _command(data: mmap.mmap, at: int) -> tuple[bytes, int] | None:
    """Return the name of the command that begins here, and where it ends; None if it is short."""
    if data[at : at + 1] == b"#":  # a time, where Redis is set to note them
        end = data.find(_NEWLINE, at)
        return None if end < 0 else (b"", end + 2)
    head = _number(data, at, b"*")
    if head is None:
        return None
    words, at = head
    name = b""
    for word in range(words):
        head = _number(data, at, b"$")
        if head is None:
            return None
        length, begin = head
        at = begin + length + 2
        if at > len(data):
            return None
        if data[at - 2 : at] != _NEWLINE:
            raise _MalformedError
        if word == 0:
            name = data[begin : at - 2].lower()
    return name, at


def _number(data: mmap.mmap, at: int, sign: bytes) -> tuple[int, int] | None:
    """Return a number after its sign, and where its line ends; None if the line is short."""
    line = data[at : at + _LINE_MOST]
    end = line.find(_NEWLINE)
    is_whole = end >= 0
    digits = line[1:end] if is_whole else line[1:].rstrip(b"\r")
    is_number = digits.isdigit() or not (digits or is_whole)
    if line[:1] not in {b"", sign} or not is_number or (not is_whole and len(line) == _LINE_MOST):
        raise _MalformedError
    return (int(digits), at + end + 2) if is_whole else None
