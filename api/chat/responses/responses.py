"""Responses of OpenAI's protocol: turns whose inputs and outputs are items.

They run as streamed turns do, in tasks of their own: so each goes on, and is stored once, also when
its client leaves, is shown by any process, and is finished by another one where its process dies.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlmodel import Session

from api.chat.generation import Timeouts
from api.chat.responses import completions, telling
from api.chat.responses.model import Endpoint, ResponseModel
from api.chat.responses.telling import Ended, Failed, Told
from api.chat.running_turns import RunningTurns
from api.chat.streaming.runner import Runner
from api.chat.streaming.subscriber import TurnFeed, TurnSubscriber
from api.core.async_database import AsyncDatabase
from api.core.batches import Draft
from api.core.caller import Caller
from api.core.conversation_fields import ConversationFields
from api.core.database import Viewer
from api.core.errors import Appended, Conflict, NotFound, Unavailable
from api.core.ids import PARTITIONS
from api.core.turns import Said, TurnName
from api.reads.conversations import ConversationRepository, ConversationState
from api.reads.items import StoredItem
from api.reads.responses import Before, ResponseRepository, StoredResponse
from api.reads.slots import ReadSlot
from api.writes.accept import Accept
from api.writes.async_log import AsyncLog
from api.writes.fresh_reads import FreshReads
from api.writes.turns import Turn

T = TypeVar("T")

#: How long a cancelled response is waited for, in seconds.
CANCEL_SECONDS: Final = 30.0
#: Items of a conversation that the model is given, at most; they have 1 MiB at most.
BEFORE_MOST: Final = 500

_LOST: Final = Unavailable("the response has failed, or was lost; ask again")


@dataclass(frozen=True, slots=True)
class Question:
    """What a response is asked."""

    drafts: Sequence[Draft]
    #: What the model is given: this before and after what was said earlier.
    instructions: Sequence[dict[str, Any]]
    messages: Sequence[dict[str, Any]]
    parameters: dict[str, Any]
    #: The conversation that it goes on; None: a new one, called by the title.
    conversation_id: int | None
    #: Conversation and turn of the response that it comes after.
    previous: tuple[int, int] | None
    title: str


class Responses:
    """Begins, shows, stops and finds responses. Its methods raise Unavailable as the log does."""

    def __init__(
        self,
        *,
        accept: Accept,
        log: AsyncLog,
        turns: RunningTurns,
        runner: Runner,
        subscriber: TurnSubscriber,
        database: AsyncDatabase,
        fresh_reads: FreshReads,
        timeouts: Timeouts,
    ) -> None:
        self._accept = accept
        self._log = log
        self._turns = turns
        self._runner = runner
        self._subscriber = subscriber
        self._database = database
        self._fresh_reads = fresh_reads
        self._timeouts = timeouts

    async def begin(
        self, caller: Caller, question: Question, endpoint: Endpoint, key: str | None
    ) -> TurnName:
        """Store what a response is asked, and have it answered. A repeated request begins none.

        After a response that is not its conversation's last one, it goes to a copy that ends with
        that one. Raises as writes do, and Conflict for a response that nothing can come after.
        """
        known = await self._before(caller, question)
        turn = await self._accepted(caller, question, known, key)
        if turn.lease is not None:
            first_id = turn.id - PARTITIONS * (len(question.drafts) - 1)
            # Of a repeated request, all that was said since is there, too.
            items = [one for one in known.items if one.id < first_id]
            self._runner.respond(turn, self._model(question, items, endpoint))
        return turn.name

    async def passing(
        self, caller: Caller, question: Question, endpoint: Endpoint, turn_id: int
    ) -> AsyncIterator[Told]:
        """Have a question answered of which nothing is stored; `turn_id` names what is said."""
        known = await self._before(caller, question)
        model = self._model(question, known.items, endpoint)
        return telling.passing(turn_id, model, self._timeouts)

    async def get(self, name: TurnName, slot: ReadSlot | None = None) -> StoredResponse:
        """Return a response as it is after everything that was accepted before.

        Raises NotFound, also for what is another's.
        """

        def look(session: Session) -> StoredResponse | None:
            return ResponseRepository(session).get(name.user_id, name.conversation_id, name.id)

        return await self._found(name.user_id, name.conversation_id, look, slot)

    async def failure(self, name: TurnName) -> Failed:
        """Return how a response that is over and without outputs failed."""
        said = await self._said(name)
        if said and said[-1].kind == "error":
            return telling.failed(said[-1].text)
        return Failed(_LOST)

    async def told(self, name: TurnName) -> AsyncIterator[Told]:
        """Yield what a response says, from its beginning to its end, whichever process makes it."""
        if not await self.is_running(name):
            said = await self._said(name)
            for one in said if _is_last(said[-1:]) else ():
                yield await self._shown(name, one)
            if not _is_last(said[-1:]):
                yield await self._ended(name, is_all=True) or Failed(_LOST)
            return
        known = 0
        with self._subscriber.listening(name.id) as feed:
            while True:
                fresh = await feed.more(known)
                known += len(fresh)
                for one in fresh:
                    yield await self._shown(name, one)
                if _is_last(fresh[-1:]):
                    return
                if not fresh:
                    yield (ended := await self._ended_unheard(name))
                    if ended:
                        return

    async def cancel(self, name: TurnName) -> None:
        """Stop a response, if it is made now, and wait until what it said is stored."""
        if not await self._turns.stop(name.user_id, name.conversation_id, name.id):
            return
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                async for _ in self.told(name):
                    pass
        except TimeoutError:
            raise Unavailable("the response has not stopped yet") from None

    async def delete(self, caller: Caller, name: TurnName, key: str | None) -> None:
        """Delete what a response was asked and answered; once more is the same.

        Raises NotFound for what is another's, Conflict while it is made.
        """
        if await self.is_running(name):
            raise Conflict("the response is made now: cancel it first")
        try:
            found = await self.get(name)
        except NotFound:
            await self._must_own(name)
            return
        conversation, messages = name.conversation_id, [*found.inputs, *found.outputs]
        first, last = messages[0].id, messages[-1].id
        earlier, later = await self._database.read(
            Viewer(name.user_id),
            lambda session: ResponseRepository(session).around(name.user_id, conversation, first),
        )

        def named(what: object) -> str | None:
            # A repeated request finds fewer messages, and must mean the same by each key.
            return f"{key} {what}" if key else None

        try:
            if later == len(messages) and await self._is_cut_off(
                caller, conversation, first, named("cut"), last
            ):
                if found.request.get("opens") and not earlier:
                    await self._accept.delete(caller, conversation, named("conversation"))
                return
            # The last of the inputs, by which a repeated request finds it, goes last.
            for one in [*found.outputs, *found.inputs]:
                await self._accept.remove(caller, conversation, one.id, named(one.id))
        except NotFound:
            raise Conflict("the response was put aside: bring its branch back first") from None

    async def _is_cut_off(
        self, caller: Caller, conversation: int, first: int, key: str | None, last: int
    ) -> bool:
        """Cut off all from one message on, unless more has come since."""
        try:
            await self._accept.truncate(
                *(caller, conversation, first, key), keep=False, if_last=last
            )
        except Conflict:
            return False
        return True

    async def is_running(self, name: TurnName) -> bool:
        """Return whether a response is made now."""
        return (await self._turns.state(name)).is_running

    async def _accepted(
        self, caller: Caller, question: Question, known: Before, key: str | None
    ) -> Turn:
        begin, drafts = self._accept.begin_response, question.drafts
        if question.previous is None:
            conversation = question.conversation_id
            if conversation is None:
                fields: ConversationFields = {"title": question.title} if question.title else {}
                conversation = (await self._accept.open_or_get(caller, fields, key)).id
            return await begin(caller, conversation, drafts, key)
        source, _ = question.previous
        try:
            return await begin(caller, source, drafts, key, if_last=known.last_id)
        except Appended:
            copy = await self._accept.fork(caller, source, known.position, None, key)
            return await begin(caller, copy.id, drafts, key)

    async def _before(self, caller: Caller, question: Question) -> Before:
        """Return what was said before. Raises NotFound or Conflict."""
        owner = caller.user_id
        conversation, turn = question.previous or (question.conversation_id, None)
        if conversation is None:
            return Before(())

        def look(session: Session) -> Before | None:
            found = ResponseRepository(session)
            if turn is not None and found.get(owner, conversation, turn) is None:
                return None
            return found.before(owner, conversation, turn, BEFORE_MOST)

        if turn is None:
            return await self._fresh_reads.of_conversation(owner, conversation, look)
        known = await self._found(owner, conversation, look)
        if known.last_id is None:
            raise Conflict(
                "previous_response_id: that response has no answer, or was put aside with it"
            )
        return known

    def _model(
        self, question: Question, items: Sequence[StoredItem], endpoint: Endpoint
    ) -> ResponseModel:
        before = completions.before(items)
        messages = [*question.instructions, *before, *question.messages]
        return ResponseModel(endpoint, messages, question.parameters)

    async def _found(
        self,
        owner: int,
        conversation: int,
        look: Callable[[Session], T | None],
        slot: ReadSlot | None = None,
    ) -> T:
        try:
            return await self._fresh_reads.of_conversation(owner, conversation, look, slot)
        except NotFound:
            raise NotFound("there is no such response") from None

    async def _must_own(self, name: TurnName) -> None:
        def look(session: Session) -> ConversationState | None:
            return ConversationRepository(session).state(name.user_id, name.conversation_id)

        await self._found(name.user_id, name.conversation_id, look)

    async def _said(self, name: TurnName) -> list[Said]:
        """Return what is remembered of a turn's words, each once."""
        feed = TurnFeed()
        feed.hear(await self._turns.said(name.id))
        return feed.said

    async def _shown(self, name: TurnName, one: Said) -> Told:
        match one.kind:
            case "end":
                return Ended(await self._outputs(name, json.loads(one.text)["reply_id"]))
            case "error":
                return telling.failed(one.text)
            case _:
                return one

    async def _outputs(self, name: TurnName, reply_id: int) -> Sequence[StoredItem]:
        """Return what a response answered. Raises NotFound where it is gone.

        The log first, then PostgreSQL: so a drain between the two looks cannot hide it.
        """
        entry = await self._log.find(name.user_id, name.conversation_id, reply_id)
        if entry is not None:
            return [
                StoredItem(
                    *(one.id, one.role, one.content.decode(), one.status or entry.status),
                    extra=one.extra,
                )
                for one in entry.added
            ]
        of = name.user_id, name.conversation_id, name.id
        found = await self._database.read(
            Viewer(name.user_id), lambda session: ResponseRepository(session).outputs(*of)
        )
        if not found:
            raise NotFound("there is no such response")
        return found

    async def _ended_unheard(self, name: TurnName) -> Told:
        try:
            return await self._ended(name, is_all=False)
        except Unavailable:
            return None  # not known at the moment

    async def _ended(self, name: TurnName, *, is_all: bool) -> Told:
        """Return the end of a response that is not made any more, None of one that is."""
        state = await self._turns.state(name)
        if state.reply_id is not None:
            return Ended(await self._outputs(name, state.reply_id), is_all)
        return None if state.is_running else Failed(_LOST)


def _is_last(said: Sequence[Said]) -> bool:
    return any(one.kind in {"end", "error"} for one in said)
