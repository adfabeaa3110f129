"""What one thinks of an answer: thumbs, and a comment."""

from typing import Final

from fastapi import APIRouter, status

from api.core.errors import Conflict, Gone, NotAllowed, NotFound, TooLarge
from api.http.dependencies import KEYED, Writing
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import ConversationId, MessageId
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas.conversations import Change
from api.http.schemas.feedback import NewFeedback

router = APIRouter(
    prefix="/api/conversations/{conversation_id}/messages/{message_id}/feedback",
    tags=["conversations"],
    max_body_size=BODY_MOST_BYTES,
)

_WRITE: Final = (*CALLER, Conflict, Gone, NotFound, NotAllowed)
_ACCEPTED: Final = "Accepted: it is in the log, on disk."


@router.put(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Rate an answer",
    operation_id="giveFeedback",
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses=documented(*_WRITE, TooLarge, UnsupportedMediaType),
)
async def give(
    by: Writing, conversation_id: ConversationId, message_id: MessageId, body: NewFeedback
) -> Change:
    """It takes the place of what was said of this answer before. Other messages cannot be rated."""
    accepted = await by.app.feedback.give(
        *(by.caller, conversation_id, message_id, by.key),
        rating=body.rating,
        comment=body.comment,
    )
    return Change(id=conversation_id, entry_id=accepted.id)


@router.delete(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Take a rating back",
    operation_id="takeFeedbackBack",
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses=documented(*_WRITE),
)
async def take_back(by: Writing, conversation_id: ConversationId, message_id: MessageId) -> Change:
    """The answer has no rating then, as one that never had any."""
    accepted = await by.app.feedback.give(
        by.caller, conversation_id, message_id, by.key, rating=None
    )
    return Change(id=conversation_id, entry_id=accepted.id)
