"""Pages as the API reads them, in a session of the test's, as objects."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlmodel import Session

from api.core import single_reads
from api.core.cursors import Order
from api.reads import (
    chat_documents,
    conversation_documents,
    message_documents,
    message_lines,
    message_pages,
)
from api.reads.message_pages import Part


@dataclass
class Page:
    rows: list[Any]
    total: int
    next_cursor: str | None = None


def listed(session: Session, owner: int, **wanted: Any) -> Page:
    """Read a page of an owner's conversations."""
    one = conversation_documents.Wanted(owner, **wanted)
    row = single_reads.run(session, one.query(with_last_ids=False))
    assert row is not None
    page = one.page(row)
    return Page(_rows(page.documents), page.total, page.next_cursor)


def paged(
    session: Session,
    owner: int,
    conversation_id: int,
    part: Part = "after",
    place: int = 0,
    *,
    limit: int,
    order: Order = "asc",
    external_id: str = "",
    is_plain: bool = True,
) -> Page | None:
    """Read a page of a conversation's messages; None where there is no such conversation."""
    nearest: Order = "desc" if part in {"before", "but_latest"} else "asc"
    one = message_documents.Wanted(
        *(owner, conversation_id, part, place, limit, nearest, order),
        with_extra=True,
        external_id=external_id,
    )
    return _read(session, one, is_plain=is_plain)


def chatted(
    session: Session,
    owner: int,
    conversation_id: int,
    *,
    limit: int,
    offset: int | None = None,
    is_plain: bool = True,
) -> Page | None:
    """Read a page of a chat; None where there is no such conversation."""
    one = chat_documents.Wanted(owner, conversation_id, "sess_25", limit, offset)
    return _read(session, one, is_plain=is_plain)


def _read(session: Session, wanted: message_pages.Wanted, *, is_plain: bool) -> Page | None:
    row = single_reads.run(session, wanted.query(is_plain=is_plain, with_last_ids=False))
    if row is None:
        return None
    page = wanted.page(row)
    # None: the other query is needed.
    return Page(_rows(page.documents) if page else [], row[0])


def lined(
    session: Session, owner: int, conversation_id: int, *, limit: int, after: int = 0
) -> message_lines.Lines | None:
    """Read lines of an export."""
    query = message_lines.query(owner, conversation_id, after, "lines", limit=limit)
    return message_lines.lines_of(single_reads.run(session, query))


def _rows(documents: bytes) -> list[Any]:
    found: list[Any] = json.loads(
        b"[%b]" % documents, object_hook=lambda members: SimpleNamespace(**members)
    )
    return found
