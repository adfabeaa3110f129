"""Reads of conversations, always by owner: with another owner's id every method finds nothing.

One call is one statement, so one snapshot: a page and its total always agree. Nothing here writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, any_, literal, true
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select, tuple_

from api.core.conversation_fields import instructions_in
from api.core.cursors import Cursor, Order, Sort
from api.core.errors import BadRequest
from api.core.models import Conversation
from api.core.text import in_any_case
from api.reads import owners


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Some of an owner's conversations, and how many there are."""

    conversations: list[Conversation]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What the accept script needs to know of a conversation that the log has forgotten."""

    owner: int
    closed: bool
    deleted: bool
    external_id: str | None = None
    #: What its metadata tell the assistant.
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which conversations a list has; None for no such filter."""

    external_id: str | None = None
    tag: str | None = None
    archived: bool | None = None
    pinned: bool | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield what a conversation must be."""
        if self.external_id is not None:
            yield col(Conversation.external_id) == self.external_id
        if self.tag is not None:
            yield literal(self.tag) == any_(col(Conversation.tags))
        for wanted, at in (
            (self.archived, col(Conversation.archived_at)),
            (self.pinned, col(Conversation.pinned_at)),
        ):
            if wanted is not None:
                yield at.is_not(None) if wanted else at.is_(None)


class ConversationRepository:
    """An owner's conversations. Deleted ones are gone, except to `state`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner: int, conversation_id: int) -> Conversation | None:
        """Return one conversation."""
        statement = select(Conversation).where(owners.alive(owner, conversation_id))
        return self._session.exec(statement).one_or_none()

    def named(self, owner: int, external_id: str) -> Conversation | None:
        """Return the conversation with an external id."""
        statement = select(Conversation).where(
            owners.alive(owner), Conversation.external_id == external_id
        )
        return self._session.exec(statement).one_or_none()

    def following(self, owner: int, last: int, *, limit: int) -> Sequence[Conversation]:
        """Return conversations by id from the one after `last` on."""
        statement = select(Conversation).where(owners.alive(owner), col(Conversation.id) > last)
        return self._session.exec(statement.order_by(col(Conversation.id)).limit(limit)).all()

    def state(self, owner: int, conversation_id: int) -> ConversationState | None:
        """Return what the log is to know of a conversation."""
        statement = select(
            Conversation.closed_at,
            Conversation.deleted_at,
            Conversation.external_id,
            Conversation.metadata_text,
        ).where(owners.owned_by(owner), Conversation.id == conversation_id)
        row = self._session.exec(statement).one_or_none()
        if row is None:
            return None
        closed_at, deleted_at, external_id, metadata = row
        return ConversationState(
            *(owner, closed_at is not None, deleted_at is not None, external_id),
            instructions_in(metadata),
        )

    def list(
        self,
        owner: int,
        *,
        limit: int,
        offset: int = 0,
        sort: Sort = "updated_at",
        order: Order = "desc",
        cursor: str | None = None,
        search: str = "",
        filters: Filters | None = None,
    ) -> ConversationPage:
        """Return one page; rows with equal times are ordered by id, so that none is lost.

        With `search` only titles that contain it count, with `filters` only what they let through.
        A cursor costs the same at any depth, an
        offset does not. Raises BadRequest for a cursor that is malformed or belongs to another
        order, Unauthenticated for an owner that does not exist.
        """
        wanted = owners.alive(owner)
        if search:
            wanted = and_(wanted, _titled(search))
        if filters is not None:
            wanted = and_(wanted, *filters.conditions())
        rows = select(Conversation).where(wanted)
        if cursor is not None:
            rows = rows.where(_beyond(cursor, sort, order))
        page = aliased(
            Conversation,
            # One more than asked for tells whether there is a next page.
            rows.order_by(*_by(Conversation, sort, order))
            .offset(offset)
            .limit(limit + 1)
            .subquery(),
        )
        count = select(func.count().label("total")).where(wanted).subquery()
        statement = (
            select(count.c.total, page)
            .select_from(count)
            .outerjoin(page, true())
            .order_by(*_by(page, sort, order))
        )
        found = self._session.exec(statement).all()
        if not found[0][0]:
            owners.require_account(self._session, owner)
        shown = list(filter(None, (conversation for _, conversation in found[:limit])))
        ended = len(found) <= limit
        return ConversationPage(
            shown,
            found[0][0],
            None if ended else Cursor(sort, order, getattr(shown[-1], sort), shown[-1].id).encode(),
        )


def _titled(part: str) -> ColumnElement[bool]:
    """Return the condition on titles that contain a text, the same in every database."""
    return col(Conversation.title).collate("C").regexp_match(in_any_case(part))


def _beyond(cursor: str, sort: Sort, order: Order) -> ColumnElement[bool]:
    """Return the condition on rows after a cursor: one comparison, as the index has it."""
    last = Cursor.decode(cursor)
    if (last.sort, last.order) != (sort, order):
        raise BadRequest("the cursor belongs to another order")
    row = tuple_(getattr(Conversation, sort), col(Conversation.id))
    return row > (last.at, last.id) if order == "asc" else row < (last.at, last.id)


def _by(entity: type[Conversation], sort: Sort, order: Order) -> list[ColumnElement[Any]]:
    columns = (getattr(entity, sort), col(entity.id))
    return [column.asc() if order == "asc" else column.desc() for column in columns]
