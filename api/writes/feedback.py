"""WRITE: what an owner thinks of an answer, as an entry of the log like all that is said."""

from typing import Final

from api.core import conversation_fields, metrics
from api.core.caller import Caller
from api.core.errors import NotAllowed, NotFound
from api.core.feedback import Rating
from api.reads.branches import BranchRepository
from api.reads.read_after import Reads
from api.writes.accept import Accept
from api.writes.async_log import AsyncLog
from api.writes.message_lookups import EXTERNAL, MessageRef
from api.writes.submit import Accepted

#: What the metric has for a rating that was taken back.
TAKEN_BACK: Final = "none"


class FeedbackWrites:
    """Gives feedback in one API process. `reads` are of the primary."""

    def __init__(self, accept: Accept, reads: Reads, log: AsyncLog) -> None:
        self._accept = accept
        self._reads = reads
        self._log = log

    async def give(
        self,
        caller: Caller,
        conversation_id: int,
        message: MessageRef,
        key: str | None,
        *,
        rating: Rating | None,
        comment: str | None = None,
    ) -> Accepted:
        """Say what the caller thinks of an answer, in place of what was said; None takes it back.

        Raises NotFound where there is no such message, or its text is gone, and NotAllowed where it
        is no answer.
        """
        found = await self._answer(caller.user_id, conversation_id, message)
        said: conversation_fields.ConversationFields = {
            "feedback": {"message": found, "rating": rating, "comment": comment}
        }
        accepted = await self._accept.set(caller, conversation_id, said, key)
        if not accepted.replayed:
            metrics.feedback_total.labels(rating or TAKEN_BACK).inc()
        return accepted

    async def _answer(self, owner: int, conversation_id: int, message: MessageRef) -> int:
        """Return the id of an answer, once PostgreSQL has what was accepted before."""
        named = message.removeprefix(EXTERNAL) if isinstance(message, str) else message
        place = await self._reads.of_conversation(
            owner,
            conversation_id,
            await self._log.last_pending(conversation_id),
            lambda session: BranchRepository(session).place(owner, conversation_id, named),
        )
        if place.message_id is None or place.status not in {"stored", "interrupted"}:
            raise NotFound("there is no such message")
        if place.role != "assistant":
            raise NotAllowed("feedback is given to answers: messages of the assistant")
        return place.message_id
