"""Finds a user's conversations by the ids that the user gave them.

The log knows the external id of every conversation that is not in PostgreSQL yet, and of every one
whose deletion is not; of any other it may have forgotten it, and PostgreSQL tells.
"""

from collections.abc import Sequence

from sqlmodel import Session

from api.core import conversation_fields
from api.core.errors import NotFound
from api.core.ids import partition_of
from api.reads.conversations import ConversationRepository
from api.reads.owners import require_account
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot
from api.writes.async_log import AsyncLog


class ExternalIds:
    """The external ids of one process' users."""

    def __init__(self, log: AsyncLog, reads: Reads) -> None:
        self._log = log
        self._reads = reads

    async def for_write(self, owner: int, external_id: str) -> int:
        """Return the id of a conversation that is to be written to.

        One that was deleted a moment ago has its id still: the log refuses what it refuses by id.
        Raises NotFound, or Unavailable where neither the log nor PostgreSQL can tell.
        """
        if known := await self._known(owner, external_id):
            return abs(known)
        if stored := await self._stored(owner, external_id, ()):
            return stored
        raise NotFound("there is no such conversation")

    async def for_read(
        self, owner: int, external_id: str, read_after: Sequence[int], slot: ReadSlot
    ) -> int:
        """Return the id of a conversation that is to be read, `read_after` as for any read.

        PostgreSQL is asked first: reads go on while Redis is away. Raises NotFound or Unavailable,
        and BadRequest for a `read_after` from the future.
        """
        if stored := await self._stored(owner, external_id, read_after, slot):
            return stored
        known = await self._known(owner, external_id)
        if known > 0:
            return known
        # It may have come between the two looks.
        if not known and (stored := await self._stored(owner, external_id, (), slot)):
            return stored
        raise NotFound("there is no such conversation")

    async def _known(self, owner: int, external_id: str) -> int:
        """Return what the log knows: an id, the negative of one that was deleted, or 0."""
        digest = conversation_fields.digest(external_id)
        return int(await self._log.run("named", owner, digest, at=(partition_of(owner),)) or 0)

    async def _stored(
        self,
        owner: int,
        external_id: str,
        read_after: Sequence[int],
        slot: ReadSlot | None = None,
    ) -> int | None:
        def look(session: Session) -> int | None:
            found = ConversationRepository(session).named(owner, external_id)
            if found is None:
                require_account(session, owner)
            return found.id if found else None

        return await self._reads.after(owner, read_after, look, slot)
