"""What is stored of responses of OpenAI's protocol (`api.core.response_marks`), by owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast
from sqlmodel import Session, col, func, select

from api.core import response_marks
from api.core.models.conversations import Conversation
from api.core.models.messages import Message, MessageAside
from api.reads import owners
from api.reads.items import ItemRepository, StoredItem


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as PostgreSQL has it; without outputs it is still made, or has failed."""

    inputs: Sequence[StoredItem]
    outputs: Sequence[StoredItem]
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Before:
    """What a new response comes after, oldest first."""

    items: Sequence[StoredItem]
    #: Of the response that it comes after: the last message, and its position; None for none.
    last_id: int | None = None
    position: int = 0


class ResponseRepository:
    """The responses of an owner's conversations."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, owner: int, conversation_id: int, turn_id: int) -> StoredResponse | None:
        """Return a response, one that was put aside included; None where there is none."""
        found = self._inputs(owner, conversation_id, [turn_id])
        request = response_marks.request_in(found[0].extra) if found else None
        if request is None:
            return None
        wanted = response_marks.inputs(turn_id, request)
        inputs = self._inputs(owner, conversation_id, wanted)
        return StoredResponse(inputs, self.outputs(owner, conversation_id, turn_id), request)

    def outputs(
        self, owner: int, conversation_id: int, turn_id: int, at: int | None = None
    ) -> list[StoredItem]:
        """Return what a response answered, in its order, or the one at a place."""
        begin = response_marks.prefix(turn_id, at)
        found = []
        for table in _TABLES:
            extra: Any = cast(table.extra, Text)
            begins = extra.startswith(begin, autoescape=True)
            found += self._found(table, owner, conversation_id, table.id > turn_id, begins)
        return found

    def before(
        self, owner: int, conversation_id: int, turn_id: int | None, most: int
    ) -> Before | None:
        """Return a conversation's latest items, or those up to the end of one of its responses.

        `last_id` is None where that has no end, or is not in the line that is shown. None: there is
        no such conversation.
        """
        last_id = None
        if turn_id is not None:
            outputs = self.outputs(owner, conversation_id, turn_id)
            last_id = max((one.id for one in outputs), default=0)
        page = ItemRepository(self._session).latest(owner, conversation_id, last_id, most)
        if page is None:
            return None
        if last_id is None or not page.has_place:
            return Before(page.items[::-1] if last_id is None else ())
        place = select(Message.position).where(
            Message.conversation_id == conversation_id,
            Message.user_id == owner,
            Message.id == last_id,
        )
        return Before(page.items[::-1], last_id, self._session.exec(place).one())

    def around(self, owner: int, conversation_id: int, first_id: int) -> tuple[int, int]:
        """Return how many messages a conversation shows before an id, and from it on."""
        earlier = func.count().filter(col(Message.id) < first_id)
        statement = select(earlier, func.count()).where(
            Message.conversation_id == conversation_id, Message.user_id == owner
        )
        before, all_of_them = self._session.exec(statement).one()
        return before, all_of_them - before

    def _inputs(
        self, owner: int, conversation_id: int, message_ids: Sequence[int]
    ) -> list[StoredItem]:
        return [
            one
            for table in _TABLES
            for one in self._found(table, owner, conversation_id, table.id.in_(message_ids))
        ]

    def _found(
        self, table: Any, owner: int, conversation_id: int, *wanted: Any
    ) -> list[StoredItem]:
        statement: Any = (
            select(*(getattr(table, name) for name in StoredItem._fields))
            .join(Conversation, col(Conversation.id) == table.conversation_id)
            .where(owners.alive(owner, conversation_id), table.user_id == owner)
            .where(table.status != "deleted", *wanted)
            .order_by(table.id)
        )
        return [StoredItem(*row) for row in self._session.exec(statement)]


#: What is shown, and what was put aside.
_TABLES: tuple[Any, Any] = (Message, MessageAside)
