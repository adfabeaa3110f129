"""Streamed chat turns: the answer goes on, and is stored, also when its client disconnects.

One task runs a turn; watchers, on any process, read what it has written to Redis. So no client is
ever shown a word that the stored answer could lack.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from api.chat.answers import Answered, Answers
from api.chat.assistants.protocol import Assistant
from api.chat.files import Files
from api.chat.generation import Timeouts
from api.chat.running_turns import RunningTurns
from api.chat.streaming import events
from api.chat.streaming.events import Delta, Event, Failed, Ping, Started
from api.chat.streaming.publisher import TurnPublisher
from api.chat.streaming.runner import Runner
from api.chat.streaming.subscriber import TurnSubscriber
from api.chat.titles import Titles
from api.chat.token_limit import TokenLimit
from api.core import tasks
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.database import Viewer
from api.core.errors import NotFound, Problem, Unavailable
from api.core.turns import Said, TurnName, text_of
from api.reads.conversations import ConversationRepository
from api.writes.accept import Accept
from api.writes.async_log import AsyncLog

logger = logging.getLogger(__name__)

#: How often another process's unfinished turns are looked for: within 30 s of a crash they are
#: stored (10 s of lease, 10 s of grace, this).
RESCUE_SECONDS: Final = 4.0
RESCUE_MOST: Final = 100


class StreamedChat:
    """Runs streamed turns and shows them.

    A stop reaches the process that runs the turn like this; the other way of the same stream, what
    is said, reaches its watchers:

    1. `POST …/stop` calls `interrupt` on any process;
    2. `RunningTurns.stop` appends a `stop` to the turn's stream in Redis;
    3. the process that runs the turn learns of it by what it does next anyway: the script's `say`
       answers 2 to the publisher's next delta (`TurnPublisher._written`),
    4. or the subscriber's poll reads the entry (`TurnSubscriber._poll`), whichever is first;
    5. `TurnFeed.asked_to_stop` calls the `on_stop` that `Runner._run` gave it, once;
    6. that cancels the task that listens to the assistant; what it said is stored as `interrupted`,
       and the publisher's `end` tells every watcher.
    """

    def __init__(
        self,
        *,
        log: AsyncLog,
        accept: Accept,
        turns: RunningTurns,
        answers: Answers,
        database: AsyncDatabase,
        assistant: Assistant,
        titles: Titles,
        files: Files,
        timeouts: Timeouts,
        limit: TokenLimit,
    ) -> None:
        self._accept = accept
        self._turns = turns
        self._answers = answers
        self._database = database
        self.subscriber = TurnSubscriber(log)
        self._publisher = TurnPublisher(log, self.subscriber)
        self.runner = Runner(
            accept=accept,
            turns=turns,
            answers=answers,
            publisher=self._publisher,
            subscriber=self.subscriber,
            assistant=assistant,
            titles=titles,
            files=files,
            timeouts=timeouts,
            limit=limit,
        )
        self._rescuing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to publish, to subscribe, and to look for turns that were left unfinished."""
        self._publisher.start()
        self.subscriber.start()
        self._rescuing = asyncio.create_task(self._rescue(), name="rescue")

    async def stop(self) -> None:
        """Store what running turns have said, as interrupted; then stop the rest."""
        if self._rescuing is not None:
            await tasks.end(self._rescuing)
        await self.runner.stop()
        await self.subscriber.stop()
        await self._publisher.stop()

    async def send(
        self,
        caller: Caller,
        conversation_id: int,
        message: str | None,
        key: str | None,
        *,
        extra: str | None = None,
        replaces: int | None = None,
        after: int = 0,
    ) -> AsyncIterator[Event] | None:
        """Accept a message and return its turn's events, or None as `resume` does.

        `message`, `extra` and `replaces` are those of `TurnWrites.begin_turn`.
        `after` is for a request that is repeated with its key: the code points that were received.
        Raises a Problem before the first event.
        """
        turn = await self._accept.begin_turn(
            *(caller, conversation_id, message, key),
            extra=extra,
            replaces=replaces,
            streamed=True,
        )
        if turn.reply_id is not None:
            answered = await self._answers.stored(turn.name, turn.reply_id)
            return events.replay(answered, turn.name, after)
        if turn.lease is not None:
            self.runner.run(turn, await self._answers.question(turn))
        given_from = turn.remembers_from if turn.lease is not None else None
        return self._follow(turn.name, after, given_from)

    async def resume(
        self, owner: int, conversation_id: int, turn_id: int, after: int
    ) -> AsyncIterator[Event] | None:
        """Return a turn's events after the answer's first `after` code points.

        Return None if there is nothing to tell: the turn is unknown, or it has ended and `after`
        says that its `end` was received. Raises NotFound for a conversation that is not the
        owner's.
        """
        name = TurnName(owner, conversation_id, turn_id)
        await self._must_own(name)
        state = await self._turns.state(name)
        if state.reply_id is not None:
            return events.replay(await self._answers.stored(name, state.reply_id), name, after)
        if not state.is_running:
            return None
        return self._follow(name, after)

    async def running(self, owner: int, conversation_id: int) -> list[int]:
        """Return the ids of the turns that are running. Raises NotFound."""
        await self._must_own(TurnName(owner, conversation_id, 0))
        return await self._turns.running(owner, conversation_id)

    async def interrupt(self, owner: int, conversation_id: int, turn_id: int | None) -> list[int]:
        """Stop a turn, or all: what they said is stored. Returns which. Raises NotFound."""
        await self._must_own(TurnName(owner, conversation_id, 0))
        return await self._turns.stop(owner, conversation_id, turn_id)

    async def _must_own(self, name: TurnName) -> None:
        state = await self._turns.state(name)
        if state.owner is None:
            found = await self._database.read(
                Viewer(name.user_id),
                lambda session: ConversationRepository(session).get(
                    name.user_id, name.conversation_id
                ),
            )
            if found is not None:
                return
        if state.owner != name.user_id:
            raise NotFound("there is no such conversation")

    async def _follow(
        self, name: TurnName, after: int, remembers_from: int | None = None
    ) -> AsyncIterator[Event]:
        yield Started(name, after, remembers_from)
        heard: list[Said] = []
        with self.subscriber.listening(name.id) as turn:
            while True:
                fresh = await turn.more(len(heard))
                if not fresh:
                    if ended := await self._ended_unheard(name):
                        for last in _with_rest(ended, heard, after):
                            yield last
                        return
                    yield Ping()
                    continue
                heard += fresh
                for event in events.shown(fresh, after):
                    yield event
                after = max(after, fresh[-1].length)
                if fresh[-1].kind in {"end", "error"}:
                    for last in await self._end_of(name, heard, after):
                        yield last
                    return

    async def _end_of(self, name: TurnName, heard: list[Said], after: int) -> list[Event]:
        """Return the end of a turn, and before it the text that was not heard."""
        ended = events.last(name, heard)
        if not isinstance(ended, Answered) or events.has_all(heard):
            return [ended]
        return _with_rest(await self._answers.stored(name, ended.reply_id), heard, after)

    async def _ended_unheard(self, name: TurnName) -> Answered | Failed | None:
        """Tell how a turn ended whose stream says nothing more, if it did."""
        try:
            state = await self._turns.state(name)
        except Unavailable:
            return None  # not known at the moment
        if state.reply_id is not None:
            return await self._answers.stored(name, state.reply_id)
        if state.is_running:
            return None
        return Failed(Unavailable.status, Unavailable.title, "the turn was lost; ask again")

    async def _rescue(self) -> None:
        """Store what turns said whose process is gone."""
        while True:
            await asyncio.sleep(RESCUE_SECONDS)
            token = secrets.token_hex(8)
            with suppress(Problem):
                for name in await self._turns.claim(token, RESCUE_MOST):
                    logger.warning("a turn was left unfinished; what it said is stored")
                    self.runner.finish(name, token)


def _with_rest(ended: Answered | Failed, heard: list[Said], after: int) -> list[Event]:
    """Return the end of a turn, and before it the text that was not heard."""
    if isinstance(ended, Failed) or not ended.response.startswith(text_of(heard)):
        return [ended]
    rest = ended.response[after:]
    return [Delta(len(ended.response), rest), ended] if rest else [ended]
