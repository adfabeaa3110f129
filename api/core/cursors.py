"""The cursor of a list: the sort value and id of the last row shown, opaque to clients.

It contains nothing that the client was not shown, and grants no access: a page contains only rows
of its owner.
"""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

from api.core.errors import BadRequest

Sort = Literal["updated_at", "created_at"]
Order = Literal["asc", "desc"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SORTS: Final[dict[str, Sort]] = {"u": "updated_at", "c": "created_at"}
_ORDERS: Final[dict[str, Order]] = {"a": "asc", "d": "desc"}
_TEXT: Final = re.compile(r"^([uc])([ad])(-?[0-9]{1,18})\.([0-9]{1,16})$")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page; its time to the microsecond, like PostgreSQL's."""

    sort: Sort
    order: Order
    at: datetime
    id: int

    def encode(self) -> str:
        """Return the text that a client sends back."""
        microseconds = (self.at - _EPOCH) // _MICROSECOND
        text = f"{self.sort[0]}{self.order[0]}{microseconds}.{self.id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, encoded: str) -> Self:
        """Parse a client's text. Raises BadRequest for anything that `encode` did not return."""
        try:
            padded = encoded + "=" * (-len(encoded) % 4)
            text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
            sort, order, microseconds, row_id = _TEXT.findall(text)[0]
            at = _EPOCH + int(microseconds) * _MICROSECOND
        except (ValueError, IndexError, OverflowError):
            raise BadRequest("the cursor is malformed") from None
        cursor = cls(_SORTS[sort], _ORDERS[order], at, int(row_id))
        if cursor.encode() != encoded:
            raise BadRequest("the cursor is malformed")
        return cursor
