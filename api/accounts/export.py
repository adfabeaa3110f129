"""Export of an account as JSON lines, read page by page, in constant memory."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

from sqlmodel import Session

from api.accounts.repositories import UserRepository
from api.core import models
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.reads.read_after import Reads
from api.reads.repositories import ConversationRepository, MessageRepository

#: Rows read in one query.
PAGE: Final = 200

_ACCOUNT: Final = ("id", "username", "email", "created_at")
_CONVERSATION: Final = (*("id", "title", "message_count", "created_at", "updated_at", "closed_at"),)
_MESSAGE: Final = ("id", "conversation_id", "position", "role", "content", "status", "created_at")


async def lines(
    database: AsyncDatabase, reads: Reads, owner: int, read_after: Sequence[int]
) -> AsyncIterator[bytes]:
    """Yield the account, each conversation with its messages, and a last line with the totals.

    An export without the last line is incomplete. `read_after`: ids of entries to wait for. Raises
    BadRequest or Unavailable as `Reads.after` does.
    """
    user = await reads.after(owner, read_after, lambda db: UserRepository(db).by_id(owner))
    if user is not None:
        yield _line("account", user, _ACCOUNT)
    conversations = messages = last = 0
    while page := await database.read(
        Viewer(owner),
        lambda db: _conversations(db, owner, last),  # noqa: B023 - called at once
    ):
        for conversation in page:
            yield _line("conversation", conversation, _CONVERSATION)
            async for message in _messages(database, owner, conversation.id):
                messages += 1
                yield message
        conversations += len(page)
        last = page[-1].id
    yield _json({"type": "end", "conversations": conversations, "messages": messages})


async def _messages(
    database: AsyncDatabase, owner: int, conversation_id: int
) -> AsyncIterator[bytes]:
    position = 0
    while True:
        page = await database.read(
            Viewer(owner),
            lambda db: MessageRepository(db).after(
                owner,
                conversation_id,
                position=position,  # noqa: B023 - called at once
                limit=PAGE,
            ),
        )
        if page is None or not page.messages:  # None: deleted meanwhile
            return
        for message in page.messages:
            yield _line("message", message, _MESSAGE)
        position = page.messages[-1].position


def _conversations(db: Session, owner: int, last: int) -> Sequence[models.Conversation]:
    return ConversationRepository(db).following(owner, last, limit=PAGE)


def _line(kind: str, row: object, names: Sequence[str]) -> bytes:
    return _json({"type": kind} | {name: getattr(row, name) for name in names})


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, default=_time).encode() + b"\n"


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
