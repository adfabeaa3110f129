"""Messages as items of OpenAI's protocol: pages without those that were deleted, by owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Text, and_, cast, true
from sqlmodel import Session, col, func, select

from api.core import ids
from api.core.cursors import Order
from api.core.models.conversations import Conversation
from api.core.models.messages import Message
from api.reads import owners
from api.reads.message_pages import PAGE_MOST_BYTES, fitting
from api.reads.messages import NEAR


class StoredItem(NamedTuple):
    """What an item is made of."""

    id: int
    role: str
    content: str
    status: str
    #: A JSON object as text.
    extra: str | None
    edited_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some of a conversation's items."""

    items: Sequence[StoredItem]
    has_more: bool
    #: The item that the page is to come after is one of the conversation's.
    has_place: bool
    #: Messages of the conversation, those that are no items any more included.
    length: int


class ItemRepository:
    """The items of an owner's conversations. None: there is no such conversation."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner: int, conversation_id: int, message_id: int) -> ItemPage | None:
        """Return one item, if it is there, as a page."""
        wanted = Message.id == message_id
        return self._page(owner, conversation_id, wanted, order="asc", limit=1)

    def page(
        self, owner: int, conversation_id: int, after: int | None, order: Order, limit: int
    ) -> ItemPage | None:
        """Return the items that come after one of them, or the first ones, in an order.

        There are fewer than `limit` where their contents reach 1 MiB.
        """

        def within(messages: int) -> ItemPage | None:
            wanted = _within(owner, conversation_id, after, order, messages)
            return self._page(owner, conversation_id, wanted, order=order, limit=limit, after=after)

        near = limit + NEAR
        page = within(near)
        if page is None or page.has_more or page.length <= near:
            return page
        return within(ids.MAX_ID)

    def latest(
        self, owner: int, conversation_id: int, until: int | None, limit: int
    ) -> ItemPage | None:
        """Return the items up to one of them, or to the last, the latest first, likewise."""
        if until is None:
            return self.page(owner, conversation_id, None, "desc", limit)
        position, place = col(Message.position), _place(owner, conversation_id, until)

        def within(messages: int) -> ItemPage | None:
            wanted = and_(position <= place, position > place - messages)
            return self._page(
                owner, conversation_id, wanted, order="desc", limit=limit, after=until
            )

        near = limit + NEAR
        page = within(near)
        if page is None or page.has_more or page.length <= near:
            return page
        return within(ids.MAX_ID)

    def _page(
        self,
        owner: int,
        conversation_id: int,
        wanted: Any,
        *,
        order: Order,
        limit: int,
        after: int | None = None,
    ) -> ItemPage | None:
        found = _found(owner, conversation_id, wanted, order, limit)
        place = true() if after is None else _place(owner, conversation_id, after).is_not(None)
        by = found.c.position.asc() if order == "asc" else found.c.position.desc()
        columns = (getattr(found.c, name) for name in StoredItem._fields)
        statement: Any = (
            select(place, Conversation.message_count, found.c.found, *columns)
            .select_from(Conversation)
            .outerjoin(found, true())
            .where(owners.alive(owner, conversation_id))
            .order_by(by)
        )
        rows = self._session.exec(statement, params={"most_bytes": PAGE_MOST_BYTES}).all()
        if not rows:
            return None
        has_place, length, count, *_ = rows[0]
        items = [StoredItem(*item) for _, _, number, *item in rows if number is not None][:limit]
        return ItemPage(items, (count or 0) > len(items), has_place, length)


def _found(owner: int, conversation_id: int, wanted: Any, order: Order, limit: int) -> Any:
    """Return items as far as a page holds them; `found` counts one more than asked for, if any."""
    extra: Any = cast(Message.extra, Text)
    size = func.octet_length(Message.content) + func.coalesce(func.octet_length(extra), 0)
    position = col(Message.position)
    names = ("id", "position", "role", "content", "status", "edited_at")
    near = (
        select(*(getattr(Message, name) for name in names))
        .add_columns(extra.label("extra"), size.label("bytes"))
        .where(
            Message.conversation_id == conversation_id,
            owners.written_by(owner),
            Message.status != "deleted",
            wanted,
        )
        .order_by(position.asc() if order == "asc" else position.desc())
        .limit(limit + 1)
        .subquery()
    )
    counted = select(near, func.count().over().label("found"))
    return fitting(counted, order).subquery()


def _within(
    owner: int, conversation_id: int, after: int | None, order: Order, within: int
) -> ColumnElement[bool]:
    """Return the condition on the messages after one of them, or on the first ones, so many."""
    position, count = col(Message.position), col(Conversation.message_count)
    end = select(count + 1).where(owners.alive(owner, conversation_id)).scalar_subquery()
    if order == "asc":
        place: Any = 0 if after is None else _place(owner, conversation_id, after)
        return and_(position > place, position <= place + within)
    place = end if after is None else _place(owner, conversation_id, after)
    return and_(position < place, position >= place - within)


def _place(owner: int, conversation_id: int, message_id: int) -> Any:
    """Return where a message is, one that was deleted included."""
    return (
        select(Message.position)
        .where(
            Message.conversation_id == conversation_id,
            owners.written_by(owner),
            Message.id == message_id,
        )
        .scalar_subquery()
    )
