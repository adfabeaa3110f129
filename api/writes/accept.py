"""WRITE: everything that a user's request puts into the log.

A request goes through the group commit. What PostgreSQL must be asked first (whose is a
conversation that the log has forgotten, which were its recent turns) is asked once.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Final

from api.core import conversation_fields
from api.core.accept_requests import AcceptRequest
from api.core.caller import Caller
from api.core.conversation_fields import ConversationFields
from api.core.errors import NotFound
from api.core.ids import partition_of
from api.core.models.conversations import Conversation
from api.reads.conversations import ConversationRepository
from api.writes.messages import MessageWrites
from api.writes.submit import Accepted, accepted
from api.writes.turns import TurnWrites

#: What an open with an external id is told where it may be a conversation's already.
_TAKEN: Final = frozenset({"unnamed", "exists"})


class Accept(TurnWrites, MessageWrites):
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

    async def open_or_get(
        self, caller: Caller, fields: ConversationFields, key: str | None
    ) -> Accepted | Conversation:
        """Open a conversation of which more is said than its title.

        Returns the caller's own that has the external id already, if there is one, once PostgreSQL
        has it.
        """
        external_id = fields.get("external_id")
        request = AcceptRequest(
            *("open", caller.user_id, "open"),
            data=conversation_fields.encode(fields),
            form="j",
            instructions=_instructions(fields),
            key=key or "",
            home=partition_of(caller.user_id),
            external=conversation_fields.digest(external_id) if external_id else "",
            session_id=caller.session_id,
        )
        while True:
            result, request = await self._submit(request)
            if result.status not in _TAKEN:
                return accepted(result)
            if found := await self._with_external_id(caller.user_id, external_id, result.id):
                return found
            # The log asks once for each conversation that it may know by this id.
            request = replace(request, vacant=result.id)

    async def rename(
        self, caller: Caller, conversation_id: int, title: str, key: str | None
    ) -> Accepted:
        """Give a conversation a title."""
        return await self._edit("rename", caller, conversation_id, key, title)

    async def set(
        self, caller: Caller, conversation_id: int, fields: ConversationFields, key: str | None
    ) -> Accepted:
        """Change what is said of a conversation; what is not in `fields` stays."""
        return await self._write(
            AcceptRequest(
                *("set", caller.user_id, "edit", conversation_id),
                data=conversation_fields.encode(fields),
                form="j",
                instructions=_instructions(fields),
                key=key or "",
                session_id=caller.session_id,
            )
        )

    async def close(self, caller: Caller, conversation_id: int, key: str | None) -> Accepted:
        """End a conversation's chat session: it takes no more messages."""
        return await self._edit("close", caller, conversation_id, key)

    async def delete(self, caller: Caller, conversation_id: int, key: str | None) -> Accepted:
        """Delete a conversation, with whatever of it is still in the log."""
        return await self._edit("delete", caller, conversation_id, key)

    async def _with_external_id(
        self, owner: int, external_id: str | None, conversation_id: int
    ) -> Conversation | None:
        """Return the conversation that the log, or else PostgreSQL, knows by an external id.

        `conversation_id` is what the log knows, 0 for nothing. It may be wrong: a log that was
        restored knows what was deleted since.
        """
        if conversation_id:
            with suppress(NotFound):
                return await self._reads.of_conversation(
                    owner,
                    conversation_id,
                    (),
                    lambda session: ConversationRepository(session).get(owner, conversation_id),
                )
        return await self._reads.after(
            owner,
            (),
            lambda session: ConversationRepository(session).named(owner, external_id or ""),
        )


def _instructions(fields: ConversationFields) -> str | None:
    """Return what is said of the assistant's instructions, None for nothing."""
    if "metadata" not in fields:
        return None
    return conversation_fields.instructions_in(fields["metadata"])
