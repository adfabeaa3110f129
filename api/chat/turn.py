"""One chat turn: accept the question, let the assistant answer, accept the answer.

PostgreSQL is not on this path while the recent turns are warm. Whatever happens in between, the
person's message is kept, and a retry with the same key asks the assistant again only if no answer
was accepted.
"""

import asyncio
import time
from typing import Final

from api.chat.answers import Answered, Answers
from api.chat.assistants.protocol import Assistant
from api.chat.files import Files
from api.chat.generation import Generation, Timeouts
from api.chat.leases import leased
from api.chat.running_turns import RunningTurns
from api.chat.titles import Titles
from api.chat.token_limit import TokenLimit
from api.core.caller import Caller
from api.core.errors import Unavailable
from api.core.turns import TurnMessage
from api.writes.accept import Accept
from api.writes.turns import Turn

#: How long a retry waits for the request that is running the same turn.
WAIT_SECONDS: Final = 30.0
WAIT_POLL_SECONDS: Final = 0.2


class Chat:
    """Runs chat turns."""

    def __init__(
        self,
        accept: Accept,
        turns: RunningTurns,
        answers: Answers,
        assistant: Assistant,
        titles: Titles,
        *,
        files: Files,
        timeouts: Timeouts,
        limit: TokenLimit,
    ) -> None:
        self._accept = accept
        self._turns = turns
        self._answers = answers
        self._assistant = assistant
        self._titles = titles
        self._files = files
        self._timeouts = timeouts
        self._limit = limit

    async def turn(
        self,
        caller: Caller,
        conversation_id: int,
        message: str | None,
        key: str | None,
        *,
        extra: str | None = None,
        replaces: int | None = None,
    ) -> Answered:
        """Answer one message. At most one answer of a turn is ever stored.

        `message`, `extra` and `replaces` are those of `TurnWrites.begin_turn`, which may raise.
        An answer that breaks off is kept as far as it came. Raises BadGateway, GatewayTimeout or
        Unavailable when the model failed before its first word, or the message's files cannot be
        read, NotFound when the conversation
        went in the meantime, Unavailable when another request runs this turn for too long, TooMany
        when the user's answers have taken today's tokens: the message is kept, and is not answered.
        """
        turn = await self._begun(
            caller, conversation_id, message, key, extra=extra, replaces=replaces
        )
        if turn.reply_id is not None:
            return await self._answers.stored(turn.name, turn.reply_id)
        async with leased(self._turns, turn):
            asked = await self._answers.question(turn)
            made = await self._ask(turn, asked)
            reply = await self._accept.reply(turn.name, made.text, made.status, made.extra)
        if reply.replayed:
            # The lease was lost to another request, and that one's answer was first.
            return await self._answers.stored(turn.name, reply.id)
        self._titles.after(turn, asked.content, made.text)
        return Answered(turn.id, reply.id, made.text, made.status, made.extra)

    async def _begun(
        self,
        caller: Caller,
        conversation_id: int,
        message: str | None,
        key: str | None,
        *,
        extra: str | None,
        replaces: int | None,
    ) -> Turn:
        """Accept the message; wait while another request is answering it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            turn = await self._accept.begin_turn(
                caller, conversation_id, message, key, extra=extra, replaces=replaces
            )
            if turn.reply_id is not None or turn.lease is not None:
                return turn
            if time.monotonic() + WAIT_POLL_SECONDS > deadline:
                raise Unavailable("another request is still waiting for this turn's answer")
            await asyncio.sleep(WAIT_POLL_SECONDS)

    async def _ask(self, turn: Turn, asked: TurnMessage) -> Generation:
        await self._limit.check(turn.name.user_id)
        made = Generation()
        async with self._files.of(turn.name.user_id, turn.recent, asked) as (recent, message):
            await made.run(self._assistant, self._timeouts, recent, message)
        await self._limit.spend(turn.name.user_id, made.extra)
        if made.failure is not None:
            raise made.failure
        return made
