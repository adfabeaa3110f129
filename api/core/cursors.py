"""Cursors of lists and of searches: what tells the last row shown, opaque to clients.

A cursor contains nothing that the client was not shown, and grants no access: a page contains only
rows of its owner.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

from api.core.errors import BadRequest

#: What an index has in order.
TimeSort = Literal["updated_at", "created_at"]
Sort = Literal["updated_at", "created_at", "title"]
Order = Literal["asc", "desc"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SORTS: Final[dict[str, TimeSort]] = {"u": "updated_at", "c": "created_at"}
_ORDERS: Final[dict[str, Order]] = {"a": "asc", "d": "desc"}
_NUMBER: Final = "(0|[1-9][0-9]{0,15})"
_AT: Final = "(0|-?[1-9][0-9]{0,17})"
_TEXT: Final = re.compile(rf"([uc])([ad]){_AT}\.{_NUMBER}")
_TITLE: Final = re.compile(rf"n([ad]){_NUMBER}\.([^\0]*)")
_TIME: Final = re.compile(rf"t{_AT}\.{_NUMBER}\.{_NUMBER}")
_RANK: Final = re.compile(r"r([1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page by time; its time to the microsecond, like PostgreSQL's."""

    sort: TimeSort
    order: Order
    at: datetime
    id: int

    def encode(self) -> str:
        """Return the text that a client sends back."""
        microseconds = (self.at - _EPOCH) // _MICROSECOND
        return _encode(f"{self.sort[0]}{self.order[0]}{microseconds}.{self.id}")

    @classmethod
    def decode(cls, encoded: str) -> Self:
        """Parse a client's text. Raises BadRequest for anything that `encode` did not return."""
        with _malformed():
            sort, order, microseconds, row_id = _decode(encoded, _TEXT)
            at = _EPOCH + int(microseconds) * _MICROSECOND
            return cls(_SORTS[sort], _ORDERS[order], at, int(row_id))


@dataclass(frozen=True, slots=True)
class TitleCursor:
    """The last row of a page by title; no title is an empty one."""

    order: Order
    at: str
    id: int

    @property
    def sort(self) -> Sort:
        """What the page is sorted by."""
        return "title"

    def encode(self) -> str:
        """Return the text that a client sends back."""
        return _encode(f"n{self.order[0]}{self.id}.{self.at}")

    @classmethod
    def decode(cls, encoded: str) -> Self:
        """Parse a client's text. Raises BadRequest for anything that `encode` did not return."""
        with _malformed():
            order, row_id, title = _decode(encoded, _TITLE)
            return cls(_ORDERS[order], title, int(row_id))


@dataclass(frozen=True, slots=True)
class TimeCursor:
    """The last hit of a page of a search, by time."""

    at: datetime
    conversation_id: int
    position: int

    def encode(self) -> str:
        """Return the text that a client sends back."""
        microseconds = (self.at - _EPOCH) // _MICROSECOND
        return _encode(f"t{microseconds}.{self.conversation_id}.{self.position}")

    @classmethod
    def decode(cls, encoded: str) -> Self:
        """Parse a client's text. Raises BadRequest for anything that `encode` did not return."""
        with _malformed():
            microseconds, conversation_id, position = _decode(encoded, _TIME)
            at = _EPOCH + int(microseconds) * _MICROSECOND
            return cls(at, int(conversation_id), int(position))


@dataclass(frozen=True, slots=True)
class RankCursor:
    """How many hits of a search by relevance were shown."""

    left_out: int

    def encode(self) -> str:
        """Return the text that a client sends back."""
        return _encode(f"r{self.left_out}")

    @classmethod
    def decode(cls, encoded: str) -> Self:
        """Parse a client's text. Raises BadRequest for anything that `encode` did not return."""
        with _malformed():
            (left_out,) = _decode(encoded, _RANK)
            return cls(int(left_out))


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@contextmanager
def _malformed() -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError):
        raise BadRequest("the cursor is malformed") from None


def _decode(encoded: str, pattern: re.Pattern[str]) -> Sequence[str]:
    """Return the groups of a cursor's text. Raises ValueError for one that was not encoded here."""
    padded = encoded + "=" * (-len(encoded) % 4)
    text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    match = pattern.fullmatch(text)
    # One cursor has one text: no other padding, no leading zeros.
    if match is None or _encode(text) != encoded:
        raise ValueError("no cursor")
    return match.groups()
