"""WRITE: messages, alone and in batches, and what changes those that are stored.

What is to be rewritten is looked for in PostgreSQL, when the script asks for it: after it has seen
whether the request is a repeated one. It takes the answer only if nothing has rewritten messages
of the conversation since, so what is accepted then has an effect.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlmodel import Session

from api.core import changes
from api.core.accept_requests import AcceptRequest, Whereabouts, located
from api.core.accept_results import AcceptResult
from api.core.batches import Draft
from api.core.caller import Caller
from api.core.entries import Op
from api.core.errors import Conflict, NotAllowed, NotFound
from api.core.ids import IMPORTED_BELOW, PARTITIONS, partition_of
from api.reads.branches import BranchRepository, Place
from api.reads.conversations import ConversationRepository, ConversationState
from api.writes.submit import Accepted, Submitter

#: A message: its id, or `ext:` and its external id.
MessageRef = int | str
EXTERNAL: Final = "ext:"


class MessageWrites(Submitter):
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

    async def _told(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest | None:
        match result.status:
            case "look" if request.op == "fork":
                return await self._with_source(request, result)
            case "look" if request.op == "switch":
                return await self._with_branch(request, result)
            case "look" if request.op == "adds":
                return await self._with_named(request, result)
            case "look":
                return await self._with_place(request, result)
            case "ask_last":
                return await self._with_last(request, result)
            case _:
                return await super()._told(request, result)

    async def _with_place(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest:
        """Say where the message is that is to be changed. Raises NotFound or Conflict."""
        change = json.loads(request.said or b"{}")
        place = await self._place(request, change["message"], result)
        if place.message_id is None:
            raise NotFound("there is no such message")
        if request.op == "put" and place.status not in {"stored", "interrupted"}:
            raise Conflict("the text of this message is gone; it cannot be changed")
        return replace(
            request,
            data=changes.encode(change | {"message": place.message_id}),
            rewritten_id=rewritten_by(place.rewritten_id, result),
            last_after=place.before_id if request.op == "truncate" else None,
        )

    async def _with_branch(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest:
        """Say where the branch is that is to come back. Raises NotFound or Conflict."""
        branch_id = json.loads(request.data)["branch"]
        wait_for = self._wait_for(request, branch_id, result)
        place, branch = await self._reads.of_conversation(
            request.user_id,
            request.conversation_id,
            wait_for,
            lambda session: BranchRepository(session).branch(
                request.user_id, request.conversation_id, branch_id
            ),
        )
        if branch is None:
            raise NotFound("there is no such branch")
        if not branch.fits:
            raise Conflict("this branch belongs to another one: switch to that one first")
        rewritten_id = rewritten_by(place.rewritten_id, result)
        return replace(request, rewritten_id=rewritten_id, last_after=branch.last_id)

    async def _with_named(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest:
        """Say where the messages are that had the external ids of a batch before a rewrite."""
        owner, conversation_id = request.user_id, request.conversation_id
        names = [element.get("external_id") for element in json.loads(request.data)]
        wanted = [name for name in names if name is not None]
        rewritten_id, is_shown = await self._reads.of_conversation(
            owner,
            conversation_id,
            self._wait_for(request, result.tail, result),
            lambda session: BranchRepository(session).named(owner, conversation_id, wanted),
        )
        where = {
            place: Whereabouts.SHOWN if is_shown[name] else Whereabouts.ASIDE
            for place, name in enumerate(names)
            if name in is_shown
        }
        return replace(
            request,
            externals=located(request.externals, where),
            rewritten_id=rewritten_by(rewritten_id, result),
        )

    async def _with_source(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest:
        """Make sure that there is what is to be copied. Raises NotFound or NotAllowed."""
        owner, source = request.user_id, request.conversation_id

        def look(session: Session) -> tuple[Place, ConversationState] | None:
            place = BranchRepository(session).place(owner, source, 0)
            state = ConversationRepository(session).state(owner, source)
            return (place, state) if place and state else None

        wait_for = self._wait_for(request, result.tail, result)
        place, state = await self._reads.of_conversation(owner, source, wait_for, look)
        if json.loads(request.data)["position"] > place.message_count:
            raise NotAllowed("the conversation has no message at this position")
        rewritten_id = rewritten_by(place.rewritten_id, result)
        return replace(request, rewritten_id=rewritten_id, instructions=state.instructions)

    async def _with_last(self, request: AcceptRequest, result: AcceptResult) -> AcceptRequest:
        """Say which message is the last one."""
        place = await self._place(request, 0, result)
        return replace(request, last_message=place.last_id, last_as_of=result.tail)

    async def _place(
        self, request: AcceptRequest, message: MessageRef, result: AcceptResult
    ) -> Place:
        """Look for a message, once PostgreSQL has what the script knows of.

        `result.id` is what PostgreSQL must have; an id up to `result.tail` may be on its way.
        """
        owner, conversation_id = request.user_id, request.conversation_id
        wait_for = self._wait_for(request, message, result)
        if isinstance(message, str):
            message = message.removeprefix(EXTERNAL)
        return await self._reads.of_conversation(
            owner,
            conversation_id,
            wait_for,
            lambda session: BranchRepository(session).place(owner, conversation_id, message),
        )

    def _wait_for(
        self, request: AcceptRequest, wanted: MessageRef, result: AcceptResult
    ) -> list[int]:
        """Return which entry PostgreSQL must have for what is wanted to be there, if it exists."""
        entry = result.id
        if isinstance(wanted, str):
            entry = max(entry, result.tail)
        elif wanted >= IMPORTED_BELOW and partition_of(wanted) != request.partition:
            raise NotFound("there is no such message or branch")
        elif wanted <= result.tail:
            entry = max(entry, wanted)
        return [entry] if entry else []


def rewritten_by(stored_id: int, result: AcceptResult) -> int:
    """Return the last entry that rewrote messages of what PostgreSQL was asked for.

    One that the script knows of and PostgreSQL has passed without writing it is a dead letter.
    """
    return max(stored_id, result.id)
