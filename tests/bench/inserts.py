"""How the rivals put one message into the same tables."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from api.core.errors import NotFound
from api.core.models.conversations import Conversation
from api.core.models.messages import Message, Role

#: Connections of each rival's pool: more did not make any of them faster on two cores.
POOL: Final = 24
#: Where the Celery rivals' tasks wait.
QUEUE: Final = "rival"
BATCHED_QUEUE: Final = "rival-batches"

#: Checks the owner, counts, takes the position and inserts: one round trip, one transaction.
ONE_STATEMENT: Final = """
    WITH counted AS (
        UPDATE conversation SET message_count = message_count + 1, updated_at = $6
        WHERE id = $1 AND user_id = $2 AND closed_at IS NULL AND deleted_at IS NULL
        RETURNING message_count)
    INSERT INTO message
        (id, conversation_id, user_id, position, role, content, status, created_at)
    SELECT $3, $1, $2, message_count, $4, $5, 'stored', $6 FROM counted
    RETURNING position
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One message."""

    id: int
    conversation_id: int
    user_id: int
    role: Role
    content: str
    created_at: datetime

    def as_json(self) -> tuple[int, int, int, str, str, float]:
        """Return it as a Celery task's arguments."""
        at = self.created_at.timestamp()
        return self.id, self.conversation_id, self.user_id, self.role, self.content, at

    @classmethod
    def from_json(
        cls, row_id: int, conversation_id: int, user_id: int, role: str, content: str, at: float
    ) -> "Row":
        """Read a Celery task's arguments."""
        known = cast("Role", role)
        return cls(
            row_id, conversation_id, user_id, known, content, datetime.fromtimestamp(at, UTC)
        )


def insert(engine: Engine, row: Row) -> None:
    """Add a message as most people write it: load, check, count, add, commit."""
    with Session(engine) as session:
        conversation = session.exec(
            select(Conversation)
            .where(col(Conversation.id) == row.conversation_id)
            .with_for_update()
        ).one_or_none()
        if conversation is None or conversation.user_id != row.user_id:
            raise NotFound("there is no such conversation")
        conversation.message_count += 1
        conversation.updated_at = row.created_at
        session.add(
            Message(
                id=row.id,
                conversation_id=row.conversation_id,
                user_id=row.user_id,
                position=conversation.message_count,
                role=row.role,
                content=row.content,
                status="stored",
                created_at=row.created_at,
            )
        )
        session.commit()
