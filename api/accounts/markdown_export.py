"""One conversation as a Markdown document, read page by page, in constant memory."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from api.accounts import export
from api.core import ids, markdown
from api.reads.conversations import ConversationRepository
from api.reads.partitions import PartitionRepository
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot


@dataclass(frozen=True, slots=True)
class Start:
    """A conversation as it was when its export began; what comes later is not in it."""

    title: str | None
    message_count: int
    #: The last entry of its partition that PostgreSQL had then.
    last_ids: Sequence[int]


async def begin(
    reads: Reads, owner: int, conversation_id: int, read_after: Sequence[int], slot: ReadSlot
) -> Start:
    """Return what the document begins with. Raises what `Reads.of_conversation` raises."""

    def look(db: Session) -> Start | None:
        conversation = ConversationRepository(db).get(owner, conversation_id)
        if conversation is None:
            return None
        # After the conversation: a standby that has these has all that the conversation tells of.
        last_id = PartitionRepository(db).last_id(ids.partition_of(conversation_id))
        return Start(conversation.title, conversation.message_count, [last_id])

    return await reads.of_conversation(owner, conversation_id, read_after, look, slot)


async def pieces(
    reads: Reads, owner: int, conversation_id: int, start: Start
) -> AsyncIterator[bytes]:
    """Yield the document. Messages that have no text any more are left out."""
    yield markdown.heading(start.title).encode()
    pages = export.pages(
        reads, owner, start.last_ids, conversation_id, start.message_count, form="elements"
    )
    async for page in pages:
        messages = json.loads(b"[%b]" % page.written)
        yield "".join(map(_written, messages)).encode()


def _written(message: dict[str, str]) -> str:
    at = datetime.fromisoformat(message["created_at"])
    return markdown.message(message["role"], at, message["content"])
