"""Messages as an export has them: JSON that PostgreSQL makes, with blanks between its parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, literal_column, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import func, select

from api.core.models.conversations import Conversation
from api.core.prepared_statements import Statement
from api.core.single_reads import Query, Row
from api.reads import documents, message_pages
from api.reads.message_pages import fitting, nearby, wanted_conversation

#: A line for each message; or elements of a list, without messages that have no text any more.
Form = Literal["lines", "elements"]

_NAMES: Final[Mapping[Form, tuple[str, ...]]] = {
    "lines": (
        *("id", "conversation_id", "position", "role", "content", "status", "created_at"),
        *("external_id", "edited_at"),
    ),
    "elements": ("id", "external_id", "role", "content", "status", "created_at"),
}
_BEFORE: Final[Mapping[Form, str]] = {"lines": '"type": "message", ', "elements": ""}
_BETWEEN: Final[Mapping[Form, str]] = {"lines": "E'\\n'", "elements": "', '"}
_WORDS: Final = frozenset({"role", "status", "created_at"})


@dataclass(frozen=True, slots=True)
class Lines:
    """Some of a conversation's messages, and what stands between them."""

    written: bytes
    messages: int
    #: The position of the last one, also of those without text.
    last: int


def query(owner: int, conversation_id: int, after: int, form: Form, *, limit: int) -> Query:
    """Return the query for the messages after a position, as many as a page holds."""
    wanted = {
        "owner": owner,
        "conversation": conversation_id,
        "place": after,
        "most": limit,
        "most_bytes": message_pages.PAGE_MOST_BYTES,
    }
    return Query(_statement(form), wanted)


def lines_of(row: Row | None) -> Lines | None:
    """Return what the query's row has; None for no such conversation, or no such messages."""
    if row is None or row[2] is None:
        return None
    written, messages, last = row
    return Lines(written or b"", messages, last)


@cache
def _statement(form: Form) -> Statement:
    rows = fitting(nearby("after", "asc", with_extra=True), "asc").subquery().c
    kept = and_(rows.status != "deleted", rows.status != "unavailable")
    has_text = kept if form == "elements" else true()
    between: Any = aggregate_order_by(literal_column(_BETWEEN[form]), rows.position)
    page = (
        select(func.string_agg(_document(rows, form), between).filter(has_text).label("written"))
        .add_columns(func.count().filter(has_text).label("messages"))
        .add_columns(func.max(rows.position).label("last"))
        .correlate(Conversation)
        .lateral()
    )
    statement: Any = (
        select(page.c.written, page.c.messages, page.c.last)
        .select_from(Conversation)
        .join(page, true())
        .where(wanted_conversation())
    )
    return Statement.of(statement)


def _document(message: Any, form: Form) -> ColumnElement[str]:
    made = {
        "content": documents.string(message.content),
        "created_at": documents.time(message.created_at),
        "external_id": documents.or_null(documents.string(message.external_id)),
        "edited_at": documents.or_null(documents.string(documents.time(message.edited_at))),
    }
    # Line ends stand between parts of JSON, never in a string: a line has none.
    extra = func.translate(message.extra_text, literal_column("E'\\n\\r'"), "  ")
    members = {name: made.get(name, message[name]) for name in _NAMES[form]}
    if form == "lines":
        members["feedback"] = documents.or_null(message.feedback_text)
    members["extra"] = documents.or_null(extra)
    named = documents.members(members, _WORDS, blank=" ")
    return documents.formatted(_BEFORE[form] + named, *members.values())
