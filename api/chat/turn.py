"""One chat turn: accept the question, let the assistant answer, accept the answer.

PostgreSQL is not on this path while the recent turns are warm. Whatever happens in between, the
person's message is kept, and a retry with the same key asks the assistant again only if no answer
was accepted.
"""

import asyncio
import time
from contextlib import aclosing
from typing import Final

from api.chat.answers import Answered, Answers
from api.chat.assistants.protocol import Assistant
from api.chat.leases import leased
from api.chat.running_turns import RunningTurns
from api.chat.titles import Titles
from api.core.caller import Caller
from api.core.errors import BadGateway, GatewayTimeout, Unavailable
from api.core.text import is_content
from api.writes.accept import Accept, Turn

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
        answer_seconds: float,
    ) -> None:
        self._accept = accept
        self._turns = turns
        self._answers = answers
        self._assistant = assistant
        self._titles = titles
        self._answer_seconds = answer_seconds

    async def turn(
        self, caller: Caller, conversation_id: int, message: str, key: str | None
    ) -> Answered:
        """Answer one message. At most one answer of a turn is ever stored.

        Raises BadGateway or GatewayTimeout when the model failed, NotFound when the conversation
        went in the meantime, Unavailable when another request runs this turn for too long.
        """
        turn = await self._begun(caller, conversation_id, message, key)
        if turn.reply_id is not None:
            return await self._answers.stored(turn.name, turn.reply_id)
        async with leased(self._turns, turn):
            response = await self._ask(turn, message)
            reply = await self._accept.reply(turn.name, response)
        if reply.replayed:
            # The lease was lost to another request, and that one's answer was first.
            return await self._answers.stored(turn.name, reply.id)
        self._titles.after(turn, message, response)
        return Answered(turn.id, reply.id, response, "stored")

    async def _begun(
        self, caller: Caller, conversation_id: int, message: str, key: str | None
    ) -> Turn:
        """Accept the message; wait while another request is answering it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            turn = await self._accept.begin_turn(caller, conversation_id, message, key)
            if turn.reply_id is not None or turn.lease is not None:
                return turn
            if time.monotonic() + WAIT_POLL_SECONDS > deadline:
                raise Unavailable("another request is still waiting for this turn's answer")
            await asyncio.sleep(WAIT_POLL_SECONDS)

    async def _ask(self, turn: Turn, message: str) -> str:
        try:
            async with (
                asyncio.timeout(self._answer_seconds),
                aclosing(self._assistant.answer(turn.recent, message)) as answer,
            ):
                response = "".join([piece async for piece in answer])
        except TimeoutError as error:
            raise GatewayTimeout("the model did not answer in time") from error
        if not is_content(response):
            raise BadGateway("the model's answer is empty or is no text that can be stored")
        return response
