"""WRITE: everything that a user's request puts into the log.

A request goes through the group commit. What PostgreSQL must be asked first (whose is a
conversation that the log has forgotten, which were its recent turns) is asked once.
"""

from typing import Literal

from api.core.caller import Caller
from api.core.entries import AcceptRequest
from api.core.ids import partition_of
from api.writes.submit import Accepted
from api.writes.turns import TurnWrites


class Accept(TurnWrites):
    """The writes of one API process, each in the name of its caller."""

    async def open(self, caller: Caller, title: str | None, key: str | None) -> Accepted:
        """Open a conversation in its owner's home partition. The entry's id is its id."""
        return await self._write(
            AcceptRequest(
                *("open", caller.user_id, "open"),
                data=(title or "").encode(),
                key=key or "",
                home=partition_of(caller.user_id),
                session_id=caller.session_id,
            )
        )

    async def add(
        self,
        caller: Caller,
        conversation_id: int,
        role: Literal["user", "assistant"],
        content: str,
        key: str | None,
    ) -> Accepted:
        """Add a message to a conversation."""
        return await self._write(
            AcceptRequest(
                *("add", caller.user_id, "message", conversation_id, role),
                data=content.encode(),
                key=key or "",
                session_id=caller.session_id,
            )
        )

    async def rename(
        self, caller: Caller, conversation_id: int, title: str, key: str | None
    ) -> Accepted:
        """Give a conversation a title."""
        return await self._edit("rename", caller, conversation_id, key, title)

    async def close(self, caller: Caller, conversation_id: int, key: str | None) -> Accepted:
        """End a conversation's chat session: it takes no more messages."""
        return await self._edit("close", caller, conversation_id, key)

    async def delete(self, caller: Caller, conversation_id: int, key: str | None) -> Accepted:
        """Delete a conversation, with whatever of it is still in the log."""
        return await self._edit("delete", caller, conversation_id, key)
