"""Pages of a conversation's messages as JSON, each one statement, so one snapshot.

The statement of a page that is not plain counts branches, too.
"""

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
from api.core.models.conversations import Conversation
from api.core.models.messages import Message, MessageAside
from api.core.prepared_statements import Statement
from api.core.single_reads import Query, Row
from api.reads import documents, message_pages
from api.reads.message_pages import Page, Part, fitting, nearby, wanted_conversation

#: Stand in a document where no JSON has them. `extra` is in its place if no message of the page has
#: any, and last in each if one has.
_PLACE: Final = "\x01"
_END: Final = "\x02"
_WORDS: Final = frozenset({"role", "status", "created_at"})


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
        """Return the query of a plain page, or of any."""
        statement = _statement(
            *(self.part, self.nearest, self.order),
            with_extra=self.with_extra,
            is_plain=is_plain,
            with_last_ids=with_last_ids,
        )
        return Query(
            statement,
            message_pages.parameters(
                *(self.owner, self.conversation_id, self.place, self.limit),
                external_id=self.external_id,
            ),
        )

    def page(self, row: Row) -> Page | None:
        """Return the page, given the query's row; None where it is not a plain one."""
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
) -> Statement:
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
    return Statement.of(statement)


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
    after = {
        "edited_at": documents.or_null(edited_at),
        "aside": aside,
        "feedback": documents.or_null(message.feedback_text),
    }
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
