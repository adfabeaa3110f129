"""Pages of a conversation's messages as rows, each one statement, so one snapshot."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Text,
    and_,
    bindparam,
    case,
    cast,
    null,
    or_,
    true,
)
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from api.core.cursors import Order
from api.core.models import Conversation, Message, Role, Status
from api.reads import owners

#: A page of messages ends where their contents reach this many bytes, of UTF-8.
PAGE_MOST_BYTES: Final = 1024 * 1024
#: What a chat shows, and the assistant is given.
CHAT_ROLES: Final = ("user", "assistant")
#: Of a conversation's messages: those before or after a position, all but the latest `place`, those
#: of a chat but the first `place`, the one with an external id.
Part = Literal["before", "after", "but_latest", "of_chat", "external"]


class StoredMessage(NamedTuple):
    """A message as pages have it: a row, which costs a tenth of what an object of the ORM does."""

    id: int
    conversation_id: int
    user_id: int
    position: int
    role: Role
    content: str
    status: Status
    created_at: datetime
    external_id: str | None
    edited_at: datetime | None


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Some of a conversation's messages, and how many there are."""

    messages: list[StoredMessage]
    total: int
    #: The position of the last message of all, also of those that do not count.
    end: int = 0


def read(
    session: Session,
    owner: int,
    conversation_id: int,
    place: int,
    *,
    limit: int,
    nearest: Order,
) -> MessagePage | None:
    """Return the messages of a chat but the first `place`, nearest to one end, oldest first.

    They are `limit` at most, and no more than PAGE_MOST_BYTES hold, but one at least.
    """
    wanted = {
        "owner": owner,
        "conversation": conversation_id,
        "place": place,
        "most": limit,
        "most_bytes": PAGE_MOST_BYTES,
    }
    found = session.connection().execute(_page_of(nearest), wanted).all()
    if not found:
        return None
    # A conversation without such messages is one row, all of it but the count empty.
    shown = [StoredMessage(*message) for _, _, *message in found if message[0] is not None]
    return MessagePage(shown, total=found[0][0], end=found[0][1])


@cache
def _page_of(nearest: Order) -> Executable:
    """Return a page's statement, made once: to make it takes longer than to execute it."""
    page: Any = fitting(nearby("of_chat", nearest, with_extra=False), nearest).lateral()
    columns = (page.c[name] for name in StoredMessage._fields)
    return (
        select(col(Conversation.message_count) - _hidden(), Conversation.message_count, *columns)
        .outerjoin(page, true())
        .where(wanted_conversation())
        .order_by(page.c.position.asc())
    )


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
            col(Message.role).in_(CHAT_ROLES), position > case((_hidden() == 0, place), else_=0)
        ),
        "external": Message.external_id == bindparam("external_id", type_=Text),
    }[part]
    extra: Any = cast(Message.extra, Text) if with_extra else null().cast(Text)
    columns = (getattr(Message, name) for name in StoredMessage._fields)
    size = func.octet_length(Message.content) + func.coalesce(func.octet_length(extra), 0)
    rows = (
        select(*columns, *more)
        .add_columns(extra.label("extra_text"), size.label("bytes"))
        .where(Message.conversation_id == Conversation.id, wanted)
        .order_by(position.asc() if nearest == "asc" else position.desc())
        .limit(bindparam("most", type_=BigInteger))
    )
    if part == "of_chat":
        rows = rows.offset(case((_hidden() == 0, 0), else_=place))
    return rows.correlate(Conversation)


def fitting(nearby: Any, nearest: Order) -> Any:
    """Return the statement of those of some messages that a page holds."""
    rows = nearby.subquery()
    from_end = rows.c.position.asc() if nearest == "asc" else rows.c.position.desc()
    sums = select(rows, func.sum(rows.c.bytes).over(order_by=from_end).label("sum")).subquery()
    # The nearest one always: whatever it is, paging could not go past it.
    fits = or_(sums.c.sum <= bindparam("most_bytes"), sums.c.sum == sums.c.bytes)
    return select(*sums.c).where(fits)


def _hidden() -> Any:
    """Count what a chat leaves out, by `ix_message_not_of_chat`: nothing, mostly."""
    message = aliased(Message)
    of_this = message.conversation_id == bindparam("conversation", type_=BigInteger)
    hidden = select(func.count()).where(of_this, col(message.role).notin_(CHAT_ROLES))
    return hidden.scalar_subquery()
