"""Rows as the drain would have written them, and a listener that counts statements."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, event, insert, update
from sqlmodel import col

from api.accounts.repositories import UserRepository
from api.core.database import writing
from api.core.models.conversations import Conversation
from api.core.models.messages import Message

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


def add_user(engine: Engine, name: str) -> int:
    with writing(engine) as session:
        return UserRepository(session).add(name, f"{name}@example.org", "$argon2id$").id


def add_conversation(
    engine: Engine,
    owner: int,
    conversation_id: int,
    *,
    at: datetime = NOON,
    title: str | None = None,
    external_id: str | None = None,
    closed_at: datetime | None = None,
    deleted_at: datetime | None = None,
) -> None:
    row = {
        "id": conversation_id,
        "user_id": owner,
        "title": title,
        "external_id": external_id,
        "created_at": at,
        "updated_at": at,
        "closed_at": closed_at,
        "deleted_at": deleted_at,
    }
    with engine.begin() as connection:
        connection.execute(insert(Conversation).values(**row))


def add_messages(
    engine: Engine, owner: int, conversation_id: int, contents: Sequence[str]
) -> list[int]:
    """Add messages at positions 1 to n and return their ids."""
    message_ids = [conversation_id + 16 * position for position in range(1, len(contents) + 1)]
    rows = [
        {
            "id": message_id,
            "conversation_id": conversation_id,
            "user_id": owner,
            "position": position,
            "role": "user" if position % 2 else "assistant",
            "content": content,
            "status": "stored",
            "created_at": NOON,
        }
        for position, (message_id, content) in enumerate(
            zip(message_ids, contents, strict=True), start=1
        )
    ]
    with engine.begin() as connection:
        connection.execute(insert(Message), rows)
        connection.execute(
            update(Conversation)
            .where(col(Conversation.id) == conversation_id)
            .values(message_count=len(rows))
        )
    return message_ids


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Collect what is sent meanwhile: statements and their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_1: Connection, _2: Any, statement: str, parameters: Any, *_3: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
