"""Pages of an owner's conversations as JSON, each one statement: page and total always agree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Text, any_, bindparam, literal_column
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import col, func, select, tuple_

from api.core.cursors import Cursor, Order, Sort, TitleCursor
from api.core.errors import BadRequest
from api.core.models.base import UtcDateTime
from api.core.models.conversations import Conversation
from api.core.prepared_statements import Statement
from api.core.single_reads import Query, Row
from api.core.text import in_any_case
from api.reads import documents, owners
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot

#: What accents are once letters are apart from them, as a regular expression of PostgreSQL's.
_ACCENTS: Final = r"[\u0300-\u036f]+"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which conversations a list has; None, or no text, for no such filter."""

    #: What their titles contain.
    search: str = ""
    external_id: str | None = None
    tag: str | None = None
    archived: bool | None = None
    pinned: bool | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of an owner's conversations as JSON, and how many there are."""

    documents: bytes
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of a list; rows with equal times or titles are ordered by id, so that none is lost.

    By time, a cursor costs the same at any depth, an offset does not. By title, each page reads all
    titles: an index of them would be written with every message, which moves its conversation.
    """

    owner: int
    limit: int
    offset: int = 0
    sort: Sort = "updated_at"
    order: Order = "desc"
    cursor: str | None = None
    filters: Filters = Filters()

    def query(self, *, with_last_ids: bool) -> Query:
        """Return the query. Raises BadRequest for a malformed cursor, or one of another order."""
        filters = self.filters
        wanted: dict[str, Any] = {
            "owner": self.owner,
            "most": self.limit,
            "left_out": self.offset,
            "title": in_any_case(filters.search),
            "external_id": filters.external_id,
            "tag": filters.tag,
        }
        if self.cursor is not None:
            by_title = self.sort == "title"
            last = TitleCursor.decode(self.cursor) if by_title else Cursor.decode(self.cursor)
            if (last.sort, last.order) != (self.sort, self.order):
                raise BadRequest("the cursor belongs to another order")
            wanted |= {"cursor_at": last.at, "cursor_id": last.id}
        kind = _Kind(
            *(self.sort, self.order, self.cursor is not None, bool(filters.search)),
            has_external_id=filters.external_id is not None,
            has_tag=filters.tag is not None,
            archived=filters.archived,
            pinned=filters.pinned,
            with_last_ids=with_last_ids,
        )
        return Query(_statement(kind), wanted)

    def page(self, row: Row) -> Page:
        """Return the page, given the query's row."""
        total, count, shown, last_at, last_id, _ = row
        cursor = None
        if count > self.limit:
            if self.sort == "title":
                cursor = TitleCursor(self.order, last_at.decode(), last_id).encode()
            else:
                cursor = Cursor(self.sort, self.order, last_at, last_id).encode()
        return Page(shown or b"", total, cursor)


async def page(reads: Reads, wanted: Wanted, read_after: Sequence[int], slot: ReadSlot) -> Page:
    """Return a page.

    Raises BadRequest for a wrong cursor, Unauthenticated for an owner that does not exist, and what
    `Reads.after` raises.
    """
    query = wanted.query(with_last_ids=bool(read_after))
    found = wanted.page(await reads.row(wanted.owner, read_after, query, slot))
    if not found.total:
        owner = wanted.owner
        await reads.after(owner, (), lambda db: owners.require_account(db, owner), slot)
    return found


class _Kind(NamedTuple):
    """What makes one statement another."""

    sort: Sort
    order: Order
    has_cursor: bool
    is_search: bool
    has_external_id: bool
    has_tag: bool
    archived: bool | None
    pinned: bool | None
    with_last_ids: bool

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield what each conversation of the list must be."""
        yield owners.alive(bindparam("owner", type_=BigInteger))
        if self.is_search:
            # The same in every database.
            title = col(Conversation.title).collate("C")
            yield title.regexp_match(bindparam("title", type_=Text))
        if self.has_external_id:
            yield col(Conversation.external_id) == bindparam("external_id", type_=Text)
        if self.has_tag:
            yield bindparam("tag", type_=Text) == any_(col(Conversation.tags))
        for wanted, at in (
            (self.archived, col(Conversation.archived_at)),
            (self.pinned, col(Conversation.pinned_at)),
        ):
            if wanted is not None:
                yield at.is_not(None) if wanted else at.is_(None)

    def beyond(self) -> Iterator[ColumnElement[bool]]:
        """Yield what those after a cursor are: one comparison, as the index has it."""
        if self.has_cursor:
            row = tuple_(self.key(Conversation), col(Conversation.id))
            at: ColumnElement[Any]
            if self.sort == "title":
                at = _ranked(bindparam("cursor_at", type_=Text))
            else:
                at = bindparam("cursor_at", type_=UtcDateTime)
            last = tuple_(at, bindparam("cursor_id", type_=BigInteger))
            yield row > last if self.order == "asc" else row < last

    def shown(self, entity: Any) -> ColumnElement[Any]:
        """Return what a cursor has of a row."""
        return func.coalesce(entity.title, "") if self.sort == "title" else entity[self.sort]

    def key(self, entity: Any) -> ColumnElement[Any]:
        """Return what rows are ordered by."""
        if self.sort == "title":
            return _ranked(func.coalesce(entity.title, ""))
        key: ColumnElement[Any] = getattr(entity, self.sort)
        return key

    def by(self, entity: Any) -> list[ColumnElement[Any]]:
        """Return the order of the list."""
        columns = (self.key(entity), entity.id)
        return [column.asc() if self.order == "asc" else column.desc() for column in columns]


def _ranked(title: ColumnElement[str]) -> ColumnElement[str]:
    """Return a title for its place in order: by its letters, without accents and case.

    The same in every database, whatever its locale is.
    """
    parts = func.normalize(title, literal_column("NFKD"), type_=Text)
    letters = func.regexp_replace(parts, _ACCENTS, "", "g", type_=Text)
    return func.lower(letters.collate("C"), type_=Text)


@cache
def _statement(kind: _Kind) -> Statement:
    """Return a page's statement, made once: to make it takes longer than to execute it."""
    wanted = list(kind.conditions())
    most = bindparam("most", type_=BigInteger)
    near = (
        select(Conversation)
        .where(*wanted, *kind.beyond())
        .order_by(*kind.by(Conversation))
        # One more than asked for tells whether there is a next page.
        .limit(most + 1)
        .offset(bindparam("left_out", type_=BigInteger))
    )
    page: Any = near.subquery().c

    def all_of(value: Any, of_type: Any) -> Any:
        ordered = aggregate_order_by(value, *kind.by(page))
        return func.array_agg(ordered, type_=ARRAY(of_type))

    total = select(func.count()).where(*wanted).select_from(Conversation).scalar_subquery()
    columns: Any = (
        *(total, func.count()),
        func.array_to_string(all_of(_document(page), Text)[1:most], ","),
        all_of(kind.shown(page), Text if kind.sort == "title" else UtcDateTime)[most],
        all_of(page.id, BigInteger)[most],
        documents.last_ids(wanted=kind.with_last_ids),
    )
    return Statement.of(select(*columns))


def _document(conversation: Any) -> ColumnElement[str]:
    """Return a conversation as `schemas.Conversation` has it."""
    string, time, or_null = documents.string, documents.time, documents.or_null
    members = {
        "id": conversation.id,
        "user_id": conversation.user_id,
        "title": or_null(string(conversation.title)),
        "created_at": time(conversation.created_at),
        "updated_at": time(conversation.updated_at),
        "message_count": conversation.message_count,
        "external_id": or_null(string(conversation.external_id)),
        "tags": or_null(func.to_json(conversation.tags)),
        "archived_at": or_null(string(time(conversation.archived_at))),
        "pinned_at": or_null(string(time(conversation.pinned_at))),
        "expires_in_days": or_null(conversation.expires_in_days),
        "forked_from": or_null(conversation.forked_from),
        "forked_at": or_null(conversation.forked_at),
        "metadata": or_null(conversation.metadata),
    }
    words = {"created_at", "updated_at"}
    return documents.formatted(documents.members(members, words), *members.values())
