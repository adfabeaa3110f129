"""Reads that include whatever was accepted before them, for clients that know no `read_after`."""

from collections.abc import Callable
from typing import TypeVar

from sqlmodel import Session

from api.reads.read_after import Reads
from api.reads.slots import ReadSlot
from api.writes.async_log import AsyncLog

T = TypeVar("T")


class FreshReads:
    """Reads of one conversation, which ask the log how far PostgreSQL must have come."""

    def __init__(self, log: AsyncLog, reads: Reads) -> None:
        self._log = log
        self._reads = reads

    async def of_conversation(
        self,
        owner: int,
        conversation_id: int,
        work: Callable[[Session], T | None],
        slot: ReadSlot | None = None,
    ) -> T:
        """Run a query as `Reads.of_conversation` does, and raise what it raises.

        Raises Unavailable, too, where the log does not answer: then nobody knows what is lacking.
        """
        last = await self._log.last_entry(owner, conversation_id)
        return await self._reads.of_conversation(
            owner, conversation_id, (last,) if last else (), work, slot
        )
