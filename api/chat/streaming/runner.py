"""One process's streamed turns: ask the assistant, say each piece, store the answer once."""

import asyncio
import json
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Literal, NamedTuple

from api.chat.answers import Answers
from api.chat.assistants.protocol import Assistant
from api.chat.files import Files
from api.chat.generation import Generation, Timeouts
from api.chat.leases import leased
from api.chat.parts import PARTS_MOST, of_turn, with_parts, without_parts
from api.chat.responses import outputs
from api.chat.responses.outputs import Ending
from api.chat.running_turns import RunningTurns
from api.chat.streaming.publisher import TurnPublisher
from api.chat.streaming.subscriber import TurnSubscriber
from api.chat.titles import Titles
from api.chat.token_limit import TokenLimit
from api.core.errors import Problem, Unavailable
from api.core.turns import Said, TurnMessage, TurnName, parts_of, text_of
from api.writes.accept import Accept
from api.writes.submit import Accepted
from api.writes.turns import Turn

logger = logging.getLogger(__name__)

#: How long an answer that Redis does not take is sent again; then the rescue stores it.
STORE_TIMEOUT_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
#: The event that tells the ids goes out first.
HEAD_START_SECONDS: Final = 0.001


class _Reply(NamedTuple):
    """What a turn answers."""

    text: str
    status: Literal["stored", "interrupted"]
    extra: dict[str, Any] | None
    #: How a response of OpenAI's protocol ended; None for the turn of a chat.
    ending: Ending | None


class Runner:
    """Runs turns in tasks of their own, so that a watcher that goes away ends none."""

    def __init__(
        self,
        *,
        accept: Accept,
        turns: RunningTurns,
        answers: Answers,
        publisher: TurnPublisher,
        subscriber: TurnSubscriber,
        assistant: Assistant,
        titles: Titles,
        files: Files,
        timeouts: Timeouts,
        limit: TokenLimit,
    ) -> None:
        self._accept = accept
        self._turns = turns
        self._answers = answers
        self._publisher = publisher
        self._subscriber = subscriber
        self._assistant = assistant
        self._titles = titles
        self._files = files
        self._timeouts = timeouts
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()
        self._speaking: set[asyncio.Task[None]] = set()

    def run(self, turn: Turn, message: TurnMessage) -> None:
        """Have the assistant answer a turn whose lease is ours."""
        self._spawn(self._run(turn, message, self._assistant, is_chat=True), turn.name)

    def respond(self, turn: Turn, model: Assistant) -> None:
        """Have a model answer a response of OpenAI's protocol, likewise."""
        self._spawn(self._run(turn, TurnMessage("user", ""), model, is_chat=False), turn.name)

    def finish(self, name: TurnName, token: str) -> None:
        """Store what a turn said whose lease was taken over, as interrupted."""
        self._publisher.open(name, token, on_lost=lambda: None)
        self._spawn(self._finish(name), name)

    async def stop(self) -> None:
        """Interrupt every turn and store what it said."""
        for speaking in self._speaking:
            speaking.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)

    async def _run(
        self, turn: Turn, message: TurnMessage, assistant: Assistant, *, is_chat: bool
    ) -> None:
        async with leased(self._turns, turn):
            await asyncio.sleep(HEAD_START_SECONDS)
            before = await self._said_before(turn)
            made = Generation(
                lambda piece: self._publisher.say(turn.id, piece),
                lambda part: self._publisher.tell(turn.id, part),
                PARTS_MOST if is_chat else outputs.PARTS_MOST,
            )
            speaking = asyncio.create_task(
                self._speak(turn, message, before, assistant, made), name="speak"
            )
            self._publisher.open(turn.name, turn.lease or "", on_lost=lambda: _cancel(speaking))
            if not is_chat:
                self._publisher.tell(turn.id, outputs.MARK)
            self._speaking.add(speaking)
            speaking.add_done_callback(self._speaking.discard)
            with self._subscriber.listening(turn.id, lambda: _cancel(speaking)) as heard:
                await asyncio.wait([speaking])
            await self._limit.spend(turn.name.user_id, made.extra)
            if made.failure is not None:
                self._fail(turn.name, made.failure)
                return
            ending = None if is_chat else outputs.ending(made, is_stopped=heard.is_to_stop)
            reply = _Reply(made.text, made.status, made.extra, ending)
            await self._store(turn.name, reply)
            if is_chat:
                self._titles.after(turn, message.content, made.text)

    async def _said_before(self, turn: Turn) -> list[Said]:
        """Return what an earlier attempt said, once Redis tells it.

        To fail without it would end the turn, and what was shown of it would be stored nowhere.
        """
        while turn.replayed:
            try:
                return await self._turns.said(turn.id)
            except Unavailable as problem:
                await asyncio.sleep(problem.retry_after_seconds or 1)
        return []

    async def _speak(
        self,
        turn: Turn,
        message: TurnMessage,
        before: Sequence[Said],
        assistant: Assistant,
        made: Generation,
    ) -> None:
        """Say the answer piece by piece."""
        text, parts = text_of(before), outputs.without_mark(parts_of(before))
        if text or parts:
            # This much was shown already; another answer could contradict it.
            made.resume(text, parts)
            return
        try:
            await self._limit.check(turn.name.user_id)
            async with self._files.of(turn.name.user_id, turn.recent, message) as (recent, asked):
                await made.run(assistant, self._timeouts, recent, asked)
        except Problem as problem:
            made.problem = problem

    async def _finish(self, name: TurnName) -> None:
        said = await self._turns.said(name.id)
        parts = parts_of(said)
        ending = outputs.CUT_SHORT if outputs.is_response(parts) else None
        extra = with_parts(None, outputs.without_mark(parts))
        await self._store(name, _Reply(text_of(said), "interrupted", extra, ending))

    async def _store(self, name: TurnName, reply: _Reply) -> None:
        """Put the answer into the log, and then say that it is there."""
        if reply.ending is None:
            reply = reply._replace(extra=of_turn(reply.extra, name.id))
        try:
            accepted = await self._accepted(name, reply)
            stored = await self._answers.stored(name, accepted.id) if accepted.replayed else None
        except Unavailable:
            # No end is told, so the lease lapses, and the rescue stores what was shown.
            self._publisher.leave(name.id)
            return
        except Problem as problem:
            self._fail(name, problem)
            return
        told = {
            "reply_id": accepted.id,
            "status": stored.status if stored else reply.status,
            "length": len(stored.response if stored else reply.text),
            # Its watchers were told the parts.
            "extra": without_parts(stored.extra if stored else reply.extra),
        }
        self._publisher.close(name.id, "end", json.dumps(told))

    async def _accepted(self, name: TurnName, reply: _Reply) -> Accepted:
        clock = asyncio.get_running_loop().time
        until = clock() + STORE_TIMEOUT_SECONDS
        while True:
            try:
                if reply.ending is None:
                    return await self._accept.reply(name, reply.text, reply.status, reply.extra)
                drafts = outputs.drafts(name.id, reply.text, reply.extra, reply.ending)
                return await self._accept.reply_items(name, drafts)
            except Unavailable as problem:
                if clock() > until:
                    raise
                await asyncio.sleep(problem.retry_after_seconds or 1)

    def _fail(self, name: TurnName, problem: Problem) -> None:
        told: dict[str, str | int] = {
            "status": problem.status,
            "title": problem.title,
            "detail": problem.detail,
        }
        if problem.retry_after_seconds is not None:
            told["retry_after"] = problem.retry_after_seconds
        self._publisher.close(name.id, "error", json.dumps(told))

    def _spawn(self, work: Coroutine[Any, Any, None], name: TurnName) -> None:
        task = asyncio.create_task(work, name=f"turn-{name.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
