"""Reads of chat data, always by owner: with another owner's id every method finds nothing.

One call is one statement, so one snapshot: a page and its total always agree. Nothing here writes.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Executable,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    literal,
    null,
    or_,
    text,
    true,
    union_all,
)
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select, tuple_

from api.core import ids
from api.core.conversation_fields import instructions_in
from api.core.cursors import Cursor, Order, Sort
from api.core.errors import BadRequest, Unauthenticated
from api.core.models import (
    Conversation,
    LogPartition,
    Message,
    MessageAside,
    Role,
    Status,
    User,
)
from api.core.text import in_any_case

#: A page of messages ends where their contents reach this many bytes, of UTF-8.
PAGE_MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Some of an owner's conversations, and how many there are."""

    conversations: list[Conversation]
    total: int
    next_cursor: str | None


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
    #: A JSON object, as the text that was written.
    extra_text: str | None
    #: Messages that were cut off, of branches that begin at this position.
    aside: int


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Some of a conversation's messages, and how many there are."""

    messages: list[StoredMessage]
    total: int
    #: The position of the last message of all, also of those that do not count.
    end: int = 0


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What the accept script needs to know of a conversation that the log has forgotten."""

    owner: int
    closed: bool
    deleted: bool
    external_id: str | None = None
    #: What its metadata tell the assistant.
    instructions: str = ""


#: Pgpool-II sends it to no standby.
_PRIMARYS_LAST_IDS: Final = text("/*NO LOAD BALANCE*/ SELECT id, last_id FROM log_partition")
#: Of a conversation's messages: those before or after a position, all but the latest `place`, those
#: of a chat but the first `place`, the one with an external id.
_Part = Literal["before", "after", "but_latest", "of_chat", "external"]
#: What a chat shows, and the assistant is given.
CHAT_ROLES: Final = ("user", "assistant")


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


def _owned(owner: int | BindParameter[int]) -> ColumnElement[bool]:
    return col(Conversation.user_id) == owner


def _alive(owner: int | BindParameter[int]) -> ColumnElement[bool]:
    return and_(_owned(owner), col(Conversation.deleted_at).is_(None))


def require_account(session: Session, owner: int) -> None:
    """Raise Unauthenticated where there is no such user, whatever a token says.

    For reads that find nothing: the account may have been deleted, or be lost by a restore.
    """
    if session.exec(select(User.id).where(User.id == owner)).first() is None:
        raise Unauthenticated("there is no such account")


class ConversationRepository:
    """An owner's conversations. Deleted ones are gone, except to `state`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner: int, conversation_id: int) -> Conversation | None:
        """Return one conversation."""
        statement = select(Conversation).where(_alive(owner), Conversation.id == conversation_id)
        return self._session.exec(statement).one_or_none()

    def named(self, owner: int, external_id: str) -> Conversation | None:
        """Return the conversation with an external id."""
        statement = select(Conversation).where(
            _alive(owner), Conversation.external_id == external_id
        )
        return self._session.exec(statement).one_or_none()

    def following(self, owner: int, last: int, *, limit: int) -> Sequence[Conversation]:
        """Return conversations by id from the one after `last` on."""
        statement = select(Conversation).where(_alive(owner), col(Conversation.id) > last)
        return self._session.exec(statement.order_by(col(Conversation.id)).limit(limit)).all()

    def state(self, owner: int, conversation_id: int) -> ConversationState | None:
        """Return what the log is to know of a conversation."""
        statement = select(
            Conversation.closed_at,
            Conversation.deleted_at,
            Conversation.external_id,
            Conversation.metadata_text,
        ).where(_owned(owner), Conversation.id == conversation_id)
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
        wanted = _alive(owner)
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
            require_account(self._session, owner)
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


class MessageRepository:
    """The messages of an owner's conversations, by position: the same cost at any depth.

    Pages are None where the conversation is unknown, deleted or another user's.
    """

    def __init__(self, session: Session, *, with_extra: bool = False) -> None:
        self._session = session
        self._with_extra = with_extra

    def get(self, owner: int, conversation_id: int, message_id: int) -> Message | None:
        """Return one message."""
        statement = (
            select(Message)
            .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
            .where(_alive(owner), Conversation.id == conversation_id, Message.id == message_id)
        )
        return self._session.exec(statement).one_or_none()

    def known_names(
        self, owner: int, conversation_id: int, external_ids: Sequence[str]
    ) -> set[str]:
        """Return which of some external ids messages have, those of other branches included."""
        named = (
            select(col(table.external_id))
            .join(Conversation, col(table.conversation_id) == col(Conversation.id))
            .where(
                _alive(owner),
                Conversation.id == conversation_id,
                col(table.external_id).in_(external_ids),
            )
            for table in (Message, MessageAside)
        )
        return set(self._session.connection().scalars(union_all(*named)))

    def aside(self, owner: int, conversation_id: int, message_id: int) -> MessageAside | None:
        """Return one message that was put aside with a branch."""
        statement = (
            select(MessageAside)
            .join(Conversation, col(MessageAside.conversation_id) == col(Conversation.id))
            .where(_alive(owner), Conversation.id == conversation_id, MessageAside.id == message_id)
        )
        return self._session.exec(statement).one_or_none()

    def page(
        self, owner: int, conversation_id: int, *, limit: int, offset: int = 0, order: Order = "asc"
    ) -> MessagePage | None:
        """Return messages from the oldest on, or from the latest on, leaving out `offset`."""
        part: _Part = "after" if order == "asc" else "but_latest"
        return self._page(owner, conversation_id, part, offset, limit, nearest=order, order=order)

    def after(
        self, owner: int, conversation_id: int, *, position: int, limit: int, order: Order = "asc"
    ) -> MessagePage | None:
        """Return the messages that follow a position most closely."""
        return self._page(
            owner, conversation_id, "after", position, limit, nearest="asc", order=order
        )

    def before(
        self, owner: int, conversation_id: int, *, position: int, limit: int, order: Order = "asc"
    ) -> MessagePage | None:
        """Return the messages that precede a position most closely."""
        return self._page(
            owner, conversation_id, "before", position, limit, nearest="desc", order=order
        )

    def latest(self, owner: int, conversation_id: int, *, limit: int) -> MessagePage | None:
        """Return the latest messages, the oldest of them first."""
        return self._page(
            owner, conversation_id, "but_latest", 0, limit, nearest="desc", order="asc"
        )

    def by_external_id(
        self, owner: int, conversation_id: int, external_id: str
    ) -> MessagePage | None:
        """Return the message with an external id, or none."""
        return self._page(
            *(owner, conversation_id, "external", 0, 1),
            nearest="asc", order="asc", external_id=external_id,
        )  # fmt: skip

    def of_chat(
        self, owner: int, conversation_id: int, *, limit: int, offset: int | None
    ) -> MessagePage | None:
        """Return what users and assistants said, oldest first; without an offset the latest."""
        nearest: Order = "desc" if offset is None else "asc"
        return self._page(
            owner, conversation_id, "of_chat", offset or 0, limit, nearest=nearest, order="asc"
        )

    def count_until(self, owner: int, conversation_id: int, last_id: int) -> int:
        """Return how many messages of a conversation have ids up to `last_id`: its first ones."""
        statement = (
            select(Message.position)
            .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
            .where(_alive(owner), Conversation.id == conversation_id, Message.id <= last_id)
            .order_by(col(Message.position).desc())
            .limit(1)
        )
        return self._session.exec(statement).one_or_none() or 0

    def answers(
        self, owner: int, conversation_id: int, *, after: int, within: int
    ) -> Sequence[int]:
        """Return the positions of the assistant's messages at most `within` after a position."""
        statement = (
            select(Message.position)
            .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
            .where(
                _alive(owner),
                Conversation.id == conversation_id,
                col(Message.position).between(after + 1, after + within),
                Message.role == "assistant",
            )
        )
        return self._session.exec(statement).all()

    def last_of_user(self, owner: int, conversation_id: int) -> Message | None:
        """Return what the user said last."""
        statement = (
            select(Message)
            .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
            .where(
                _alive(owner),
                Conversation.id == conversation_id,
                Message.role == "user",
                Message.status == "stored",
            )
            .order_by(col(Message.position).desc())
            .limit(1)
        )
        return self._session.exec(statement).one_or_none()

    def recent_turns(
        self,
        owner: int,
        conversation_id: int,
        *,
        limit: int,
        most_bytes: int,
        before: int = ids.MAX_ID,
    ) -> tuple[list[Message], int]:
        """Return the latest messages an assistant can use, oldest first, and how far they reach.

        `before` is a position, if not all are wanted.

        They have `most_bytes` in all; one that is longer comes alone, if it is the latest.

        The number is the partition's `last_id`, of the same snapshot: every entry up to it has been
        drained, so what the log holds above it is exactly what is missing here.
        """
        latest = (
            select(Message)
            .join(Conversation, col(Message.conversation_id) == col(Conversation.id))
            .where(
                _alive(owner),
                Conversation.id == conversation_id,
                col(Message.status).in_(("stored", "interrupted")),
                col(Message.role).in_(CHAT_ROLES),
                col(Message.position) < before,
            )
            .order_by(col(Message.position).desc())
            .limit(limit)
            .subquery()
        )
        from_latest = latest.c.position.desc()
        total = func.sum(func.octet_length(latest.c.content)).over(order_by=from_latest)
        place = func.row_number().over(order_by=from_latest)
        counted: Any = latest.select().add_columns(total.label("bytes"), place.label("place"))
        counted = counted.subquery()
        few = or_(counted.c.bytes <= most_bytes, counted.c.place == 1)
        recent = aliased(Message, select(counted).where(few).subquery())
        statement = (
            select(LogPartition.last_id, recent)
            .outerjoin(recent, true())
            .where(LogPartition.id == ids.partition_of(conversation_id))
            .order_by(col(recent.position))
        )
        found = self._session.exec(statement).all()
        return list(filter(None, (message for _, message in found))), found[0][0]

    def _page(
        self,
        owner: int,
        conversation_id: int,
        part: _Part,
        place: int,
        limit: int,
        *,
        nearest: Order,
        order: Order,
        external_id: str = "",
    ) -> MessagePage | None:
        """Return the messages of a part nearest to one end, in the given order.

        They are `limit` at most, and no more than PAGE_MOST_BYTES hold, but one at least.
        """
        wanted: dict[str, int | str] = {
            "owner": owner,
            "conversation": conversation_id,
            "place": place,
            "most": limit,
            "most_bytes": PAGE_MOST_BYTES,
        }
        if part == "external":
            wanted["external_id"] = external_id
        statement = _page_of(part, nearest, order, with_extra=self._with_extra)
        found = self._session.connection().execute(statement, wanted).all()
        if not found:
            return None
        # A conversation without such messages is one row, all of it but the count empty.
        shown = [StoredMessage(*message) for _, _, *message in found if message[0] is not None]
        return MessagePage(shown, total=found[0][0], end=found[0][1])


@cache
def _page_of(part: _Part, nearest: Order, order: Order, *, with_extra: bool) -> Executable:
    """Return a page's statement, made once: to make it takes longer than to execute it."""
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
    names = StoredMessage._fields
    extra: Any = cast(Message.extra, Text) if with_extra else null().cast(Text)
    columns = (getattr(Message, name) for name in names if name not in {"extra_text", "aside"})
    size = func.octet_length(Message.content) + func.coalesce(func.octet_length(extra), 0)
    nearby = (
        select(*columns)
        .add_columns(extra.label("extra_text"), _aside().label("aside"), size.label("bytes"))
        .where(Message.conversation_id == Conversation.id, wanted)
        .order_by(position.asc() if nearest == "asc" else position.desc())
        .limit(bindparam("most", type_=BigInteger))
    )
    if part == "of_chat":
        nearby = nearby.offset(case((_hidden() == 0, 0), else_=place))
    rows = nearby.correlate(Conversation).subquery()
    from_end = rows.c.position.asc() if nearest == "asc" else rows.c.position.desc()
    sums = select(rows, func.sum(rows.c.bytes).over(order_by=from_end).label("sum")).subquery()
    page: Any = (  # as mypy takes any entity; it takes no lateral for one
        select(*(sums.c[name] for name in names))
        # The nearest one always: whatever it is, paging could not go past it.
        .where(or_(sums.c.sum <= bindparam("most_bytes"), sums.c.sum == sums.c.bytes))
        .lateral()
    )
    shown = page.c.position
    total: Any = col(Conversation.message_count)
    if part == "of_chat":
        total = total - _hidden()
    return (
        select(total, Conversation.message_count, page)
        .outerjoin(page, true())
        .where(
            _alive(bindparam("owner", type_=BigInteger)),
            Conversation.id == bindparam("conversation", type_=BigInteger),
        )
        .order_by(shown.asc() if order == "asc" else shown.desc())
    )


def _hidden() -> Any:
    """Count what a chat leaves out, by `ix_message_not_of_chat`: nothing, mostly."""
    message = aliased(Message)
    of_this = message.conversation_id == bindparam("conversation", type_=BigInteger)
    hidden = select(func.count()).where(of_this, col(message.role).notin_(CHAT_ROLES))
    return hidden.scalar_subquery()


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


class PartitionRepository:
    """How far the drain has come. It has no owner: no user's data is in it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def last_id(self, partition: int) -> int:
        """Return the id up to which a partition's entries are in PostgreSQL."""
        statement = select(LogPartition.last_id).where(LogPartition.id == partition)
        return self._session.exec(statement).one()

    def not_reached(self, entry_ids: Collection[int]) -> frozenset[int]:
        """Return those of the ids that the drain has not come to, as the primary says."""
        found = self._session.connection().execute(_PRIMARYS_LAST_IDS)
        last_ids: dict[int, int] = {row.id: row.last_id for row in found}
        return frozenset(one for one in entry_ids if last_ids[ids.partition_of(one)] < one)

    def all(self) -> list[LogPartition]:
        """Return all 16, in order."""
        return list(self._session.exec(select(LogPartition).order_by(col(LogPartition.id))))
