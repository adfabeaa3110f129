"""Pages of a conversation's messages as JSON, each one statement, so one snapshot.

Nearly every page is a plain one. The other statement takes three times as long: it counts branches,
and how much of large messages a page holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    bindparam,
    case,
    literal_column,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from api.core.cursors import Order
from api.core.models import Conversation, Message, MessageAside
from api.core.single_reads import Query, Row
from api.reads import documents, message_pages
from api.reads.message_pages import Part, fitting, nearby, wanted_conversation
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot

#: Stand in a document where no JSON has them. `extra` is in its place if no message of the page has
#: any, and last in each if one has.
_PLACE: Final = "\x01"
_END: Final = "\x02"
_WORDS: Final = frozenset({"role", "status", "created_at"})


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a conversation's messages as JSON, and how many it has."""

    documents: bytes
    total: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages of which conversation: `limit` at most, those of a part nearest to one end."""

    owner: int
    conversation_id: int
    part: Part
    place: int
    limit: int
    nearest: Order
    order: Order
    with_extra: bool
    external_id: str = ""

    def query(self, *, is_plain: bool, with_last_ids: bool) -> Query:
        """Return the query. Nearly every page is a plain one; `page_of` tells."""
        statement = _statement(
            *(self.part, self.nearest, self.order),
            with_extra=self.with_extra,
            is_plain=is_plain,
            with_last_ids=with_last_ids,
        )
        wanted = {
            "owner": self.owner,
            "conversation": self.conversation_id,
            "place": self.place,
            "most": self.limit,
            "most_bytes": message_pages.PAGE_MOST_BYTES,
            # So small that the page holds any such messages.
            "small_bytes": message_pages.PAGE_MOST_BYTES // self.limit,
            "external_id": self.external_id,
        }
        return statement.given(wanted)


async def page(reads: Reads, wanted: Wanted, read_after: Sequence[int], slot: ReadSlot) -> Page:
    """Return a page. Raises what `Reads.of_conversation` raises."""

    async def ask(*, is_plain: bool) -> Page | None:
        query = wanted.query(is_plain=is_plain, with_last_ids=bool(read_after))
        row = await reads.row_of_conversation(
            wanted.owner, wanted.conversation_id, read_after, query, slot
        )
        return page_of(row)

    found = await ask(is_plain=True) or await ask(is_plain=False)
    if found is None:
        raise AssertionError("the query that is not plain knows every page")
    return found


def page_of(row: Row) -> Page | None:
    """Return the page, given a query's row; None where the query that is not plain is needed."""
    total, is_rich, extras, messages, _ = row
    if is_rich:
        return None
    place, end, messages = _PLACE.encode(), _END.encode(), messages or b""
    if extras:
        shown = messages.replace(place, b"").replace(end, b',"extra":')
    else:
        shown = messages.replace(place, b',"extra":null').replace(end + b"null", b"")
    return Page(shown, total)


@cache
def _statement(
    part: Part,
    nearest: Order,
    order: Order,
    *,
    with_extra: bool,
    is_plain: bool,
    with_last_ids: bool,
) -> Query:
    if is_plain:
        rows = nearby(part, nearest, with_extra=with_extra).subquery()
        is_small = rows.c.bytes <= bindparam("small_bytes", type_=BigInteger)
        message: Any = case((is_small, _document(rows.c, literal_column("0", Integer))))
        large: Any = func.count().filter(~is_small)
    else:
        aside = _aside().label("aside")
        rows = fitting(nearby(part, nearest, aside, with_extra=with_extra), nearest).subquery()
        message, large = _document(rows.c, rows.c.aside), literal_column("0", BigInteger)
    by = rows.c.position.asc() if order == "asc" else rows.c.position.desc()
    found = (
        select(
            func.string_agg(message, aggregate_order_by(literal_column("','"), by)).label(
                "documents"
            )
        )
        .add_columns(func.count(rows.c.extra_text).label("extras"), large.label("large"))
        .correlate(Conversation)
        .lateral()
    )
    is_rich = case((col(Conversation.rewritten_id).is_(None), found.c.large > 0), else_=True)
    statement: Any = (
        select(col(Conversation.message_count), is_rich if is_plain else literal_column("false"))
        .add_columns(found.c.extras, found.c.documents, documents.last_ids(wanted=with_last_ids))
        .join(found, true())
        .where(wanted_conversation())
    )
    return Query.of(statement)


def _document(message: Any, aside: ColumnElement[int]) -> ColumnElement[str]:
    """Return a message as `schemas.Message` has it, but for the place of `extra`."""
    names = ("id", "user_id", "conversation_id", "position", "role")
    before = {
        **{name: message[name] for name in names},
        "content": documents.string(message.content),
        "status": message.status,
        "created_at": documents.time(message.created_at),
        "external_id": documents.or_null(documents.string(message.external_id)),
    }
    edited_at = documents.string(documents.time(message.edited_at))
    after = {"edited_at": documents.or_null(edited_at), "aside": aside}
    return documents.formatted(
        f"{documents.members(before, _WORDS)}{_PLACE},{documents.members(after)}{_END}%s",
        *(*before.values(), *after.values(), documents.or_null(message.extra_text)),
    )


def _aside() -> ColumnElement[int]:
    """Count the branches that begin where a message is. Nothing is looked for in a plain one."""
    before, aside = aliased(Message), aliased(MessageAside)
    parent = select(before.id).where(
        before.conversation_id == Message.conversation_id,
        before.position == Message.position - 1,
    )
    branches = select(func.count()).where(
        aside.conversation_id == Message.conversation_id,
        aside.position == Message.position,
        col(aside.parent_id).is_not_distinct_from(parent.correlate(Message).scalar_subquery()),
    )
    counted = branches.correlate(Message).scalar_subquery()
    return case((col(Conversation.rewritten_id).is_(None), 0), else_=counted)
