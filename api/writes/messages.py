"""WRITE: messages, alone and in batches, and what changes those that are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from api.core import changes
from api.core.accept_requests import AcceptRequest
from api.core.batches import Draft
from api.core.caller import Caller
from api.core.entries import Op
from api.core.ids import PARTITIONS
from api.writes.message_lookups import MessageLookups, MessageRef
from api.writes.submit import Accepted


class MessageWrites(MessageLookups):
    """The writes of messages. `if_last` names the message that must be the conversation's last one.

    0 stands for none. Where it is another one, they raise Conflict.
    """

    async def add(
        self,
        caller: Caller,
        conversation_id: int,
        role: str,
        content: str,
        key: str | None,
        *,
        external_id: str | None = None,
        extra: str | None = None,
        if_last: int | None = None,
    ) -> Accepted:
        """Add a message to a conversation; `extra` is a JSON object, as text."""
        draft = Draft(role, content, external_id, extra)
        if not draft.is_plain:
            return await self.add_batch(caller, conversation_id, [draft], key, if_last=if_last)
        return await self._write(
            AcceptRequest(
                *("add", caller.user_id, "message", conversation_id, role),
                data=content.encode(),
                key=key or "",
                session_id=caller.session_id,
                if_last=if_last,
            )
        )

    async def add_batch(
        self,
        caller: Caller,
        conversation_id: int,
        drafts: Sequence[Draft],
        key: str | None,
        *,
        if_last: int | None = None,
    ) -> Accepted:
        """Add messages, all or none. The id is the last one's; the others' are 16 apart.

        Raises Conflict, too, for an external id that another message has, as far as the log knows.
        """
        return await self._write(
            AcceptRequest.batch(
                caller.user_id,
                conversation_id,
                drafts,
                key=key or "",
                session_id=caller.session_id,
                if_last=if_last,
            )
        )

    async def truncate(
        self,
        caller: Caller,
        conversation_id: int,
        message: MessageRef,
        key: str | None,
        *,
        keep: bool,
        if_last: int | None = None,
    ) -> Accepted:
        """Take a message and all after it away: for good, or put aside as a branch (`keep`)."""
        change = {"message": message, "keep": keep}
        return await self._rewrite("truncate", caller, conversation_id, change, (key, if_last))

    async def remove(
        self,
        caller: Caller,
        conversation_id: int,
        message: MessageRef,
        key: str | None,
        *,
        if_last: int | None = None,
    ) -> Accepted:
        """Empty one message; its place stays."""
        change = {"message": message}
        return await self._rewrite("remove", caller, conversation_id, change, (key, if_last))

    async def put(
        self,
        caller: Caller,
        conversation_id: int,
        message: MessageRef,
        fields: Mapping[str, str | None],
        key: str | None,
        *,
        if_last: int | None = None,
    ) -> Accepted:
        """Replace a message's `content` and `extra` (a JSON object as text, None for none)."""
        change = {"message": message, **fields}
        return await self._rewrite("put", caller, conversation_id, change, (key, if_last))

    async def switch(
        self,
        caller: Caller,
        conversation_id: int,
        branch_id: int,
        key: str | None,
        *,
        if_last: int | None = None,
    ) -> Accepted:
        """Exchange a branch for what is in its place; that is put aside."""
        change = {"branch": branch_id}
        return await self._rewrite("switch", caller, conversation_id, change, (key, if_last))

    async def fork(
        self, caller: Caller, source: int, position: int, title: str | None, key: str | None
    ) -> Accepted:
        """Open a conversation with the messages of another one up to a position.

        It goes to the source's partition, so that it has what was accepted before it and nothing
        that came after. The copies have the ids that follow the conversation's. Raises NotAllowed,
        too, where the source has no such position.
        """
        accepted = await self._write(
            AcceptRequest(
                *("fork", caller.user_id, "open", source),
                data=changes.encode({"source": source, "position": position, "title": title or ""}),
                form="j",
                key=key or "",
                count=position + 1,
                session_id=caller.session_id,
            )
        )
        return replace(accepted, id=accepted.id - PARTITIONS * position)

    async def _rewrite(
        self,
        op: Op,
        caller: Caller,
        conversation_id: int,
        change: Mapping[str, Any],
        on: tuple[str | None, int | None],
    ) -> Accepted:
        key, if_last = on
        said = changes.encode(change)
        return await self._write(
            AcceptRequest(
                *(op, caller.user_id, "edit", conversation_id),
                data=said,
                said=said,
                form="j",
                key=key or "",
                session_id=caller.session_id,
                if_last=if_last,
            )
        )
