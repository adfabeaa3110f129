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
#: of a chat, those of a chat but the first `place`, the one with an external id.
Part = Literal["before", "after", "but_latest", "of_chat", "of_chat_but_first", "external"]


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
    position, count = col(Message.position), col(Conversation.message_count)
    # To PostgreSQL a small number is an integer of 32 bits, and so is a sum of two.
    place, most = (cast(bindparam(name), BigInteger) for name in ("place", "most"))
    is_of_chat = or_(*(col(Message.role) == role for role in CHAT_ROLES))
    # Both ends of a page are named, as positions have no gaps. By a limit alone PostgreSQL may read
    # all of a long conversation, and sort it: it takes row-level security to leave few rows over.
    wanted = {
        "after": and_(position > place, position <= place + most),
        "before": and_(position < place, position >= func.least(place, count + 1) - most),
        "but_latest": and_(position <= count - place, position > count - place - most),
        "of_chat": and_(is_of_chat, position > count - most - _hidden_among_latest(most)),
        "of_chat_but_first": and_(
            is_of_chat,
            position > place + _hidden_among_first(place),
            position <= place + most + _hidden_among_first(place + most),
        ),
        "external": Message.external_id == bindparam("external_id", type_=Text),
    }[part]
    extra: Any = cast(Message.extra, Text) if with_extra else null().cast(Text)
    columns = (getattr(Message, name) for name in _COLUMNS)
    feedback = cast(Message.feedback, Text).label("feedback_text")
    size = func.octet_length(Message.content) + func.coalesce(func.octet_length(extra), 0)
    return (
        select(*columns, *more)
        .add_columns(extra.label("extra_text"), feedback, size.label("bytes"))
        .where(Message.conversation_id == Conversation.id, wanted)
        .order_by(position.asc() if nearest == "asc" else position.desc())
        .limit(most)
        .correlate(Conversation)
    )


def fitting(nearby: Any, nearest: Order) -> Any:
    """Return the statement of those of some messages that a page holds."""
    rows = nearby.subquery()
    from_end = rows.c.position.asc() if nearest == "asc" else rows.c.position.desc()
    sums = select(rows, func.sum(rows.c.bytes).over(order_by=from_end).label("sum")).subquery()
    # The nearest one always: whatever it is, paging could not go past it.
    fits = or_(sums.c.sum <= bindparam("most_bytes"), sums.c.sum == sums.c.bytes)
    return select(*sums.c).where(fits)


def hidden() -> Any:
    """Count what a chat leaves out: nothing, mostly."""
    return _left_out(aliased(Message), func.count()).scalar_subquery()


def _hidden_among_first(place: Any) -> Any:
    """Count what is left out before the last one of a chat's first `place` messages."""
    message = aliased(Message)
    position = col(message.position)
    # Positions have no gaps: before it are so many messages, and those left out are counted.
    said_before = position - func.row_number().over(order_by=position)
    return _count_where(message, said_before, place)


def _hidden_among_latest(most: Any) -> Any:
    """Count what is left out after the first one of a chat's latest `most` messages."""
    message = aliased(Message)
    position = col(message.position)
    number = func.row_number().over(order_by=position.desc())
    said_after = col(Conversation.message_count) - position + 1 - number
    return _count_where(message, said_after, most)


def _count_where(message: Any, said: Any, less_than: Any) -> Any:
    each = _left_out(message, said.label("said")).correlate(Conversation).subquery()
    return select(func.count()).where(each.c.said < less_than).scalar_subquery()


def _left_out(message: Any, what: Any) -> Any:
    """Return the statement of what a chat leaves out, by `ix_message_not_of_chat`."""
    of_this = message.conversation_id == bindparam("conversation", type_=BigInteger)
    # One by one, as the index is taken to say: a list of values has no place in a kept statement.
    others = (message.role != role for role in CHAT_ROLES)
    return select(what).where(of_this, *others)
