"""Pages of a chat, what user and assistant said, as JSON: one statement each, so one snapshot."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, case, literal_column, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select

from api.core.cursors import Order
from api.core.models.conversations import Conversation
from api.core.models.messages import Message
from api.core.prepared_statements import Statement
from api.core.single_reads import Query, Row
from api.reads import documents, message_pages
from api.reads.message_pages import Page, Part, fitting, hidden, nearby, wanted_conversation

#: Stands for the value of `processed`, where no JSON has it.
_PLACE: Final = b"\x01"
_WORDS: Final = frozenset({"sessionId", "sender", "timestamp"})
#: How far after a page the answer to its last question is looked for, in messages.
_ANSWER_WITHIN: Final = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages of which chat: all but the first `offset`; without one, the latest."""

    owner: int
    conversation_id: int
    session_id: str
    limit: int
    offset: int | None

    def query(self, *, is_plain: bool, with_last_ids: bool) -> Query:
        """Return the query of a plain page, or of any."""
        statement = _statement(
            *(("of_chat", "desc") if self.offset is None else ("of_chat_but_first", "asc")),
            is_plain=is_plain,
            with_last_ids=with_last_ids,
        )
        return Query(
            statement,
            message_pages.parameters(
                *(self.owner, self.conversation_id, self.offset or 0, self.limit),
                session=self.session_id,
            ),
        )

    def page(self, row: Row) -> Page | None:
        """Return the page, given the query's row; None where it is not a plain one.

        A message is processed if it has been answered: an answer comes at or after its place. Where
        a page ends on a question, its answer is the first thing on the next.
        """
        total, is_large, are_answers, is_answered_later, messages, _ = row
        if is_large:
            return None
        shown = are_answers or []
        unanswered = 0
        while not is_answered_later and unanswered < len(shown) and not shown[-1 - unanswered]:
            unanswered += 1
        processed = (messages or b"").replace(_PLACE, b"true", len(shown) - unanswered)
        return Page(processed.replace(_PLACE, b"false"), total)


@cache
def _statement(part: Part, nearest: Order, *, is_plain: bool, with_last_ids: bool) -> Statement:
    rows: Any = nearby(part, nearest, with_extra=False)
    if is_plain:
        rows = rows.subquery()
        is_small = rows.c.bytes <= bindparam("small_bytes", type_=BigInteger)
        message: Any = case((is_small, _document(rows.c)))
        is_large: Any = func.coalesce(func.bool_or(~is_small), literal_column("false"))
    else:
        rows = fitting(rows, nearest).subquery()
        message, is_large = _document(rows.c), literal_column("false")
    by = rows.c.position.asc()
    found = (
        select(
            func.string_agg(message, aggregate_order_by(literal_column("','"), by)).label(
                "documents"
            ),
            func.array_agg(aggregate_order_by(rows.c.role == "assistant", by)).label("are_answers"),
            func.max(rows.c.position).label("last"),
            is_large.label("is_large"),
        )
        .correlate(Conversation)
        .lateral()
    )
    count = col(Conversation.message_count)
    statement: Any = (
        select(count - hidden(), found.c.is_large, found.c.are_answers)
        .add_columns(case((found.c.last < count, _has_answer(found.c.last)), else_=False))
        .add_columns(found.c.documents, documents.last_ids(wanted=with_last_ids))
        .join(found, true())
        .where(wanted_conversation())
    )
    return Statement.of(statement)


def _document(message: Any) -> ColumnElement[str]:
    """Return a message as `schemas.HistoryMessage` has it, but for the place of `processed`."""
    values = {
        "id": message.id,
        "sessionId": bindparam("session", type_=Text),
        "sender": case((message.role == "user", "user"), else_="ai"),
        "content": documents.string(message.content),
        "timestamp": documents.time(message.created_at),
    }
    known = documents.members(values, _WORDS)
    rest = f'"intent":null,"processed":{_PLACE.decode()}'
    return documents.formatted(f"{known},{rest}", *values.values())


def _has_answer(last: ColumnElement[int]) -> Any:
    """Return whether the assistant says something soon after a position."""
    answer: Any = aliased(Message)
    return (
        select(answer.id)
        .where(
            answer.conversation_id == bindparam("conversation", type_=BigInteger),
            answer.position.between(last + 1, last + _ANSWER_WITHIN),
            answer.role == "assistant",
        )
        .exists()
    )
