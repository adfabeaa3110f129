"""Which messages of a conversation are on a page: what pages of both forms have in common.

Nearly every page is a plain one, whose messages are few bytes each; its statement takes a third of
the other one's time, which counts what a page holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    cast,
    null,
    or_,
)
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from api.core.cursors import Order
from api.core.models.conversations import Conversation
from api.core.models.messages import Message
from api.core.single_reads import Query, Row
from api.reads import owners
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot

#: A page of messages ends where their contents reach this many bytes, of UTF-8.
PAGE_MOST_BYTES: Final = 1024 * 1024
#: What a chat shows, and the assistant is given.
CHAT_ROLES: Final = ("user", "assistant")
#: Of a conversation's messages: those before or after a position, all but the latest `place`, those
#: of a chat but the first `place`, the one with an external id.
Part = Literal["before", "after", "but_latest", "of_chat", "external"]


#: Of a message, beside `extra`.
_COLUMNS: Final = (
    *("id", "conversation_id", "user_id", "position", "role", "content", "status", "created_at"),
    *("external_id", "edited_at"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a conversation's messages as JSON, and how many it has."""

    documents: bytes
    total: int


class Wanted(Protocol):
    """Which page of which conversation."""

    @property
    def owner(self) -> int:
        """The conversation's owner."""

    @property
    def conversation_id(self) -> int:
        """The conversation."""

    def query(self, *, is_plain: bool, with_last_ids: bool) -> Query:
        """Return the query of a plain page, or of any."""

    def page(self, row: Row) -> Page | None:
        """Return the page, given the query's row; None where it is not a plain one."""


async def read(reads: Reads, wanted: Wanted, read_after: Sequence[int], slot: ReadSlot) -> Page:
    """Return a page. Raises what `Reads.of_conversation` raises."""

    async def ask(*, is_plain: bool) -> Page | None:
        query = wanted.query(is_plain=is_plain, with_last_ids=bool(read_after))
        row = await reads.row_of_conversation(
            wanted.owner, wanted.conversation_id, read_after, query, slot
        )
        return wanted.page(row)

    found = await ask(is_plain=True) or await ask(is_plain=False)
    if found is None:
        raise AssertionError("the query that is not plain knows every page")
    return found


def parameters(
    owner: int, conversation_id: int, place: int, limit: int, **more: Any
) -> dict[str, Any]:
    """Return the parameters of a page's query; `more` are those of its form."""
    return {
        "owner": owner,
        "conversation": conversation_id,
        "place": place,
        "most": limit,
        "most_bytes": PAGE_MOST_BYTES,
        # So small that the page holds any such messages.
        "small_bytes": PAGE_MOST_BYTES // limit,
        **more,
    }


def wanted_conversation() -> ColumnElement[bool]:
    """Return the condition on the owner's conversation that a page is of."""
    owner, conversation = (bindparam(name, type_=BigInteger) for name in ("owner", "conversation"))
    return owners.alive(owner, conversation)


def nearby(part: Part, nearest: Order, *more: Any, with_extra: bool) -> Any:
    """Return the statement of a part's messages nearest to one end, and the bytes of each."""
    position, place = col(Message.position), bindparam("place", type_=BigInteger)
    wanted = {
        "after": position > place,
        "before": position < place,
        "but_latest": position <= col(Conversation.message_count) - place,
        # Where nothing is left out, a place is a position: any depth costs the same.
        "of_chat": and_(
            or_(*(col(Message.role) == role for role in CHAT_ROLES)),
            position > case((hidden() == 0, place), else_=0),
        ),
        "external": Message.external_id == bindparam("external_id", type_=Text),
    }[part]
    extra: Any = cast(Message.extra, Text) if with_extra else null().cast(Text)
    columns = (getattr(Message, name) for name in _COLUMNS)
    feedback = cast(Message.feedback, Text).label("feedback_text")
    size = func.octet_length(Message.content) + func.coalesce(func.octet_length(extra), 0)
    rows = (
        select(*columns, *more)
        .add_columns(extra.label("extra_text"), feedback, size.label("bytes"))
        .where(Message.conversation_id == Conversation.id, wanted)
        .order_by(position.asc() if nearest == "asc" else position.desc())
        .limit(bindparam("most", type_=BigInteger))
    )
    if part == "of_chat":
        rows = rows.offset(case((hidden() == 0, 0), else_=place))
    return rows.correlate(Conversation)


def fitting(nearby: Any, nearest: Order) -> Any:
    """Return the statement of those of some messages that a page holds."""
    rows = nearby.subquery()
    from_end = rows.c.position.asc() if nearest == "asc" else rows.c.position.desc()
    sums = select(rows, func.sum(rows.c.bytes).over(order_by=from_end).label("sum")).subquery()
    # The nearest one always: whatever it is, paging could not go past it.
    fits = or_(sums.c.sum <= bindparam("most_bytes"), sums.c.sum == sums.c.bytes)
    return select(*sums.c).where(fits)


def hidden() -> Any:
    """Count what a chat leaves out, by `ix_message_not_of_chat`: nothing, mostly."""
    message = aliased(Message)
    of_this = message.conversation_id == bindparam("conversation", type_=BigInteger)
    # One by one, as the index is taken to say: a list of values has no place in a kept statement.
    others = (message.role != role for role in CHAT_ROLES)
    hidden = select(func.count()).where(of_this, *others)
    return hidden.scalar_subquery()
