"""Looks in PostgreSQL for what a write of messages names, when the script asks for it.

It asks after it has seen whether the request is a repeated one. It takes the answer only if nothing
has rewritten messages of the conversation since, so what is accepted then has an effect.
"""

import json
from dataclasses import replace
from typing import Final

from sqlmodel import Session

from api.core import changes
from api.core.accept_requests import AcceptRequest, Whereabouts, located
from api.core.accept_results import AcceptResult
from api.core.errors import Conflict, NotAllowed, NotFound
from api.core.ids import IMPORTED_BELOW, partition_of
from api.reads.branches import BranchRepository, Place
from api.reads.conversations import ConversationRepository, ConversationState
from api.writes.submit import Submitter

#: A message: its id, or `ext:` and its external id.
MessageRef = int | str
EXTERNAL: Final = "ext:"


class MessageLookups(Submitter):
    """Says where messages and branches are that requests name."""

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
