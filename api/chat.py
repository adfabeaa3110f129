"""One chat turn: accept the question, let the assistant answer, accept the answer.

PostgreSQL is not on this path while the recent turns are warm. Whatever happens in between, the
person's message is kept, and a retry with the same key asks the assistant again only if no answer
was accepted.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from api.accept import Accept, Turn
from api.assistants.protocol import Assistant
from api.core.errors import BadGateway, GatewayTimeout, NotFound, Problem, Unavailable
from api.reads import Reads
from api.repositories import MessageRepository
from api.text import is_content

logger = logging.getLogger(__name__)

#: How long a retry waits for the request that is running the same turn.
WAIT_SECONDS: Final = 30.0
WAIT_POLL_SECONDS: Final = 0.2
#: The lease lasts 10 s without it.
RENEW_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A finished turn."""

    message_id: int
    reply_id: int
    response: str


class Chat:
    """Runs chat turns."""

    def __init__(
        self, accept: Accept, reads: Reads, assistant: Assistant, *, answer_seconds: float
    ) -> None:
        self._accept = accept
        self._reads = reads
        self._assistant = assistant
        self._answer_seconds = answer_seconds

    async def turn(
        self, owner: int, conversation_id: int, message: str, key: str | None
    ) -> Answered:
        """Answer one message. At most one answer of a turn is ever stored.

        Raises BadGateway or GatewayTimeout when the model failed, NotFound when the conversation
        went in the meantime, Unavailable when another request runs this turn for too long.
        """
        turn = await self._begun(owner, conversation_id, message, key)
        if turn.reply_id is not None:
            response = await self._stored(owner, conversation_id, turn.reply_id)
            return Answered(turn.id, turn.reply_id, response)
        async with self._leased(turn):
            response = await self._ask(turn, message)
            reply = await self._accept.reply(turn.name, response)
        if reply.replayed:
            # The lease was lost to another request, and that one's answer was first.
            response = await self._stored(owner, conversation_id, reply.id)
        return Answered(turn.id, reply.id, response)

    async def _begun(self, owner: int, conversation_id: int, message: str, key: str | None) -> Turn:
        """Accept the message; wait while another request is answering it."""
        patience_ends = time.monotonic() + WAIT_SECONDS
        while True:
            turn = await self._accept.begin_turn(owner, conversation_id, message, key)
            if turn.reply_id is not None or turn.lease is not None:
                return turn
            if time.monotonic() + WAIT_POLL_SECONDS > patience_ends:
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

    async def _stored(self, owner: int, conversation_id: int, reply_id: int) -> str:
        """Return an accepted answer.

        The log first, then PostgreSQL: so a drain between the two looks cannot hide it.
        """
        content = await self._accept.find(owner, conversation_id, reply_id)
        if content is not None:
            return content
        message = await self._reads.query(
            lambda session: MessageRepository(session).get(owner, conversation_id, reply_id)
        )
        if message is None:
            raise NotFound("there is no such conversation")
        return message.content

    @asynccontextmanager
    async def _leased(self, turn: Turn) -> AsyncIterator[None]:
        """Keep the turn for this request, and let go of it at once if it fails."""
        renewing = asyncio.create_task(self._renew(turn), name="renew-lease")
        try:
            yield
        except BaseException:
            with suppress(Problem):
                await self._accept.release(turn)
            raise
        finally:
            renewing.cancel()

    async def _renew(self, turn: Turn) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._accept.renew(turn)
            except Problem as problem:
                logger.warning("a turn's lease was not renewed: %s", problem.detail)
