"""Where messages and branches are, for what rewrites them: by owner, one statement a call."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, literal, or_, true
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, func, select

from api.core.models.conversations import Conversation
from api.core.models.messages import Message, MessageAside, Role, Status
from api.reads import owners


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation as it is rewritten, and the message in question, if it has it."""

    #: The last entry that rewrote messages, or 0.
    rewritten_id: int
    message_count: int
    #: The last of all its messages, or 0.
    last_id: int
    message_id: int | None = None
    status: Status | None = None
    #: The message before that, or 0.
    before_id: int = 0
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """Messages that follow each other, and were put aside together."""

    id: int
    #: Where it begins, and the message that it follows; None for none.
    position: int
    parent_id: int | None
    messages: int
    aside_at: datetime
    #: Its first and its last message.
    first_id: int
    last_id: int
    #: The message that it follows is in the conversation, or it follows none.
    fits: bool


_ANY: Any = Message
_ANY_ASIDE: Any = MessageAside


class BranchRepository:
    """The messages of an owner's conversations as branches: one is shown, the others are aside."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def place(self, owner: int, conversation_id: int, message: int | str) -> Place | None:
        """Look for a message by its id, or by its external id; None: there is no conversation."""
        found: Any = aliased(Message)
        before: Any = aliased(Message)
        last: Any = aliased(Message)
        by = found.external_id if isinstance(message, str) else found.id
        # Not a join: for one PostgreSQL may read the whole conversation.
        before_id = select(before.id).where(_at(before, found.position - 1))
        wanted: Any = (
            *(Conversation.rewritten_id, Conversation.message_count, last.id),
            *(found.id, found.status, before_id.scalar_subquery(), found.role),
        )
        statement: Any = (
            select(*wanted)
            .outerjoin(found, and_(found.conversation_id == Conversation.id, by == message))
            .outerjoin(last, _at(last, Conversation.message_count))
            .where(owners.alive(owner, conversation_id))
        )
        row = self._session.exec(statement).one_or_none()
        if row is None:
            return None
        rewritten_id, count, last_id, message_id, status, before_id, role = row
        return Place(
            rewritten_id or 0, count, last_id or 0, message_id, status, before_id or 0, role
        )

    def named(
        self, owner: int, conversation_id: int, external_ids: Collection[str]
    ) -> tuple[int, dict[str, bool]] | None:
        """Look for messages by external ids; None: there is no conversation.

        Returns the last entry that rewrote messages, or 0, and of each external id that is found
        whether a message that is shown has it: not where one that is aside has it, alone.
        """
        shown, aside = (
            select(of.external_id.label("external_id"), literal(is_shown).label("is_shown")).where(
                of.conversation_id == conversation_id,
                of.user_id == owner,
                of.external_id.in_(external_ids),
            )
            for of, is_shown in ((_ANY, True), (_ANY_ASIDE, False))
        )
        found: Any = shown.union_all(aside).subquery()
        rewritten_id: Any = Conversation.rewritten_id
        statement: Any = (
            select(rewritten_id, found.c.external_id, func.bool_or(found.c.is_shown))
            .select_from(Conversation)
            .outerjoin(found, true())
            .where(owners.alive(owner, conversation_id))
            .group_by(rewritten_id, found.c.external_id)
        )
        rows = self._session.exec(statement).all()
        if not rows:
            return None
        return rows[0][0] or 0, {name: is_shown for _, name, is_shown in rows if name is not None}

    def aside(
        self, owner: int, conversation_id: int, last: int, *, limit: int
    ) -> Sequence[MessageAside]:
        """Return messages that were put aside, by id from the one after `last` on."""
        statement = (
            select(MessageAside)
            .join(Conversation, col(Conversation.id) == MessageAside.conversation_id)
            .where(owners.alive(owner, conversation_id), col(MessageAside.id) > last)
            .order_by(col(MessageAside.id))
            .limit(limit)
        )
        return self._session.exec(statement).all()

    def branch(
        self, owner: int, conversation_id: int, branch_id: int
    ) -> tuple[Place, Branch | None] | None:
        """Return a branch, and the conversation as of no later; None: there is no conversation."""
        place = self.place(owner, conversation_id, 0)
        found = self.branches(owner, conversation_id)
        if place is None or found is None:
            return None
        return place, next((branch for branch in found if branch.id == branch_id), None)

    def branches(self, owner: int, conversation_id: int) -> list[Branch] | None:
        """Return what was put aside, the latest first; None: there is no conversation."""
        aside: Any = aliased(MessageAside)
        begin: Any = aliased(MessageAside)
        parent: Any = aliased(Message)
        sums: Any = (
            aside.branch_id.label("branch_id"),
            func.min(aside.position).label("position"),
            func.count().label("messages"),
            func.max(aside.id).label("last_id"),
            func.min(aside.aside_at).label("aside_at"),
            func.min(aside.id).label("first_id"),
        )
        groups: Any = (
            select(*sums)
            .where(aside.conversation_id == conversation_id, aside.user_id == owner)
            .group_by(aside.branch_id)
            .subquery()
        )
        wanted: Any = (
            *(Conversation.id, groups.c.branch_id, groups.c.position, begin.parent_id),
            *(groups.c.messages, groups.c.aside_at, groups.c.first_id, groups.c.last_id),
            or_(begin.parent_id.is_(None), parent.id.is_not(None)),
        )
        statement: Any = (
            select(*wanted)
            .select_from(Conversation)
            .outerjoin(groups, true())
            .outerjoin(begin, begin.id == groups.c.first_id)
            .outerjoin(
                parent,
                and_(parent.id == begin.parent_id, parent.conversation_id == Conversation.id),
            )
            .where(owners.alive(owner, conversation_id))
            .order_by(groups.c.branch_id.desc())
        )
        rows = self._session.exec(statement).all()
        if not rows:
            return None
        return [Branch(*branch) for _, *branch in rows if branch[0] is not None]


def _at(message: Any, position: Any) -> ColumnElement[bool]:
    """Return the condition on the message of a position."""
    return and_(message.conversation_id == Conversation.id, message.position == position)
