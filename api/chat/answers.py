"""Answers that were accepted: in the log, or already in PostgreSQL."""

import json
from dataclasses import dataclass
from typing import Any, cast

from sqlmodel import Session

from api.core import assets
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import NotFound
from api.core.models.messages import Message, MessageAside
from api.core.turns import TurnMessage, TurnName
from api.reads.messages import MessageRepository
from api.writes.async_log import AsyncLog
from api.writes.turns import Turn


@dataclass(frozen=True, slots=True)
class Answered:
    """A turn whose answer is accepted."""

    message_id: int
    reply_id: int
    response: str
    #: stored, or interrupted; unavailable for a dead letter, whose text is empty.
    status: str
    #: What is stored with the text (`api/chat/parts.py`).
    extra: dict[str, Any] | None = None

    @property
    def finish(self) -> str | None:
        """Why it ends before its own end, where that is known: length or content_filter."""
        finish = (self.extra or {}).get("finish")
        return finish if isinstance(finish, str) else None


class Answers:
    """Finds the answer of a turn by its id."""

    def __init__(self, log: AsyncLog, database: AsyncDatabase) -> None:
        self._log = log
        self._database = database

    async def question(self, turn: Turn) -> TurnMessage:
        """Return what a turn asks. Raises as `stored` does."""
        if turn.message is not None:
            return turn.message
        said = await self.stored(turn.name, turn.id)
        return TurnMessage("user", said.response, tuple(assets.named_by(said.extra)))

    async def stored(self, turn: TurnName, reply_id: int) -> Answered:
        """Return an accepted answer. Raises NotFound if its conversation is gone.

        The log first, then PostgreSQL: so a drain between the two looks cannot hide it. It is found
        in a branch that was put aside, too.
        """
        entry = await self._log.find(turn.user_id, turn.conversation_id, reply_id)
        if entry is not None:
            # The last one of a response of OpenAI's protocol, whose outputs are several.
            said = entry.added[-1]
            extra, status = _read(said.extra), said.status or entry.status
            return Answered(turn.id, reply_id, said.content.decode(), status, extra)
        of = turn.user_id, turn.conversation_id, reply_id

        def look(session: Session) -> Message | MessageAside | None:
            messages = MessageRepository(session)
            return messages.get(*of) or messages.aside(*of)

        message = await self._database.read(Viewer(turn.user_id), look)
        if message is None:
            raise NotFound("there is no such conversation")
        extra = _read(message.extra)
        return Answered(turn.id, reply_id, message.content, message.status, extra)


def _read(extra: str | None) -> dict[str, Any] | None:
    return cast("dict[str, Any]", json.loads(extra)) if extra else None
