"""Stores what passes through the gateway: finds the conversation, adds what is new, once.

A conversation is named by the request, or found by its messages. What was said otherwise before (a
question that was edited, an answer that was asked for anew) is put aside as a branch.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from api.chat.gateway.answer import GatheredAnswer
from api.chat.gateway.said import FORMAT, Said
from api.chat.title_text import shortened
from api.chat.titles import TITLE_MOST
from api.core import batches
from api.core.batches import Draft
from api.core.caller import Caller
from api.core.conversation_fields import ConversationFields
from api.core.errors import NotFound, Problem
from api.reads.chains import ChainRepository, Known
from api.reads.read_after import Reads
from api.writes.accept import Accept
from api.writes.async_log import AsyncLog
from api.writes.submit import Accepted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """A request whose messages are stored, and whose answer may come."""

    caller: Caller
    conversation_id: int
    #: The name of the last message.
    last: str
    #: The answer that was there already, if one was, and its name.
    known_answer: int | None = None
    known_name: str | None = None


class Recorder:
    """The recordings of one process."""

    def __init__(self, accept: Accept, reads: Reads, log: AsyncLog) -> None:
        self._accept = accept
        self._reads = reads
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(
        self, caller: Caller, said: Sequence[Said], conversation: str | None, key: str | None
    ) -> Recording:
        """Store what is new of a request's messages. `conversation` is an external id, if any.

        Raises a Problem as writes do; then nothing of the request must be forwarded.
        """
        known = None
        if conversation is None:
            known = await self._known(caller, said, None)
        if known is None:
            opened = await self._accept.open_or_get(caller, _fields(said, conversation), key)
            # Where it was there already, so may be what was said.
            if not isinstance(opened, Accepted) or opened.replayed:
                known = await self._known(caller, said, opened.id)
            if known is None:
                await self._add(caller, opened.id, said, None)
                return Recording(caller, opened.id, said[-1].name)
        new = said[_place(said, known) + 1 :]
        if not new:
            return Recording(
                *(caller, known.conversation_id, known.name, known.next_id, known.next_name)
            )
        cut = None
        if known.next_id is not None:
            cut = await self._put_aside(caller, known.conversation_id, known.next_id)
        await self._add(caller, known.conversation_id, new, cut)
        return Recording(caller, known.conversation_id, said[-1].name)

    async def end(self, recording: Recording, answer: GatheredAnswer) -> None:
        """Store what was answered, in place of another answer that was there; nothing is raised.

        One that cannot be stored comes again, with the next request.
        """
        draft = answer.draft(recording.last)
        try:
            if draft is not None:
                await self._end(recording, draft)
        except Problem as problem:
            logger.warning("an answer was not stored: %s", problem.title)

    def end_apart(self, recording: Recording, answer: GatheredAnswer) -> None:
        """Store the same though whoever asked has left."""
        task = asyncio.create_task(self.end(recording, answer), name="answer of the gateway")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Wait for what is being stored."""
        await asyncio.gather(*self._tasks)

    async def _end(self, recording: Recording, answer: Draft) -> None:
        if recording.known_name == answer.external_id:
            return
        cut = None
        # The server's own write: it must succeed though its caller signed out meanwhile.
        caller = Caller(recording.caller.user_id)
        if recording.known_answer is not None:
            cut = await self._put_aside(caller, recording.conversation_id, recording.known_answer)
        drafts = [_after(answer, cut)]
        await self._accept.add_batch(caller, recording.conversation_id, drafts, None)

    async def _known(
        self, caller: Caller, said: Sequence[Said], conversation_id: int | None
    ) -> Known | None:
        """Return the last message that is stored already, of the conversation that it belongs to.

        Where no conversation is named, one in which the assistant has answered.
        """
        names = [one.name for one in said]
        if conversation_id is None:
            answers = [at for at, one in enumerate(said) if one.draft.role == "assistant"]
            names = names[answers[0] :] if answers else []
        if not names:
            return None
        owner = caller.user_id
        pending = await self._log.last_pending(conversation_id or owner)
        found = await self._reads.after(
            owner,
            pending,
            lambda session: ChainRepository(session).known(owner, names, conversation_id),
        )
        places = {one.name: at for at, one in enumerate(said)}

        def is_better(known: Known) -> tuple[int, bool]:
            return places[known.name], known.next_id is None

        return max(found, key=is_better, default=None)

    async def _put_aside(self, caller: Caller, conversation_id: int, message_id: int) -> int | None:
        """Put a message and all after it aside; None where it is gone already."""
        try:
            accepted = await self._accept.truncate(
                caller, conversation_id, message_id, None, keep=True
            )
        except NotFound:
            return None
        return accepted.id

    async def _add(
        self, caller: Caller, conversation_id: int, said: Sequence[Said], cut: int | None
    ) -> None:
        drafts = [_after(one.draft, cut) for one in said]
        for begin in range(0, len(drafts), batches.MOST):
            some = drafts[begin : begin + batches.MOST]
            await self._accept.add_batch(caller, conversation_id, some, None)


def _fields(said: Sequence[Said], external_id: str | None) -> ConversationFields:
    """Return what a new conversation is called: by its first question, and as the request says."""
    fields: ConversationFields = {}
    questions = (one.draft.content for one in said if one.draft.role == "user")
    if title := shortened(next(questions, ""), TITLE_MOST):
        fields["title"] = title
    if external_id is not None:
        fields["external_id"] = external_id
    return fields


def _place(said: Sequence[Said], known: Known) -> int:
    return next(at for at, one in enumerate(said) if one.name == known.name)


def _after(draft: Draft, cut: int | None) -> Draft:
    """Return a message that comes after a cut.

    One that is said again there is not the one that was put aside, which has the same name.
    """
    if cut is None:
        return draft
    extra = draft.extra or f'{{"format":"{FORMAT}"}}'
    return draft._replace(extra=f'{extra[:-1]},"branch":{cut}}}')
