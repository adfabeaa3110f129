"""What the contestants make of a request, and what all of them answer."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Final

from api.http import fields
from api.http.schemas.chat import History, HistoryMessage
from api.http.schemas.messages import NewMessage, QueuedMessage
from tests.bench.inserts import Row

#: Below the ids that the log gives out.
_ids: Final = count(secrets.randbelow(2**40))


def row(owner: int, conversation_id: int, body: NewMessage) -> Row:
    """Make the row of a message that is to be added."""
    now = datetime.now(UTC)
    return Row(next(_ids), conversation_id, owner, body.role, body.content, now)


def answer(stored: Row) -> QueuedMessage:
    """Answer that it was."""
    return QueuedMessage(
        id=stored.id,
        user_id=stored.user_id,
        conversation_id=stored.conversation_id,
        role=stored.role,
        content=stored.content,
        created_at=stored.created_at,
    )


def history(conversation_id: int, texts: Sequence[str]) -> History:
    """Answer the latest messages of a conversation, of which only the text is known."""
    session, now = fields.session_id(conversation_id), datetime.now(UTC)
    return History(
        messages=[
            HistoryMessage(
                id=number,
                session_id=session,
                sender="user",
                content=text,
                timestamp=now,
                processed=False,
            )
            for number, text in enumerate(texts, start=1)
        ],
        total_count=len(texts),
        session_id=session,
        conversation_id=conversation_id,
    )
