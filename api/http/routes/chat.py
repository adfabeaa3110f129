"""Chat sessions. A session is a conversation under another name: `sess_` and its id in hex."""

from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response

from api.core import assets
from api.core.errors import (
    BadGateway,
    Conflict,
    GatewayTimeout,
    Gone,
    NotAllowed,
    NotFound,
    TooLarge,
)
from api.http import fields, raw_json
from api.http.dependencies import (
    KEYED,
    KEYED_RESUMED,
    Chatting,
    LastEventId,
    Reading,
    WantsStream,
)
from api.http.fast_lane import fast
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import LimitIfAny, OffsetIfAny, ReadAfter, SessionId
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.routes import streams
from api.http.schemas import chat as schemas
from api.reads import chat_documents, message_pages

router = APIRouter(prefix="/api/chat", tags=["chat"], max_body_size=BODY_MOST_BYTES)

GREETING: Final = "Hello! What can I do for you?"
HISTORY_LIMIT: Final = 50

_READ: Final = (*CALLER, NotFound, Gone, NotAllowed)
_WRITE: Final = (*CALLER, Conflict)
_BODY: Final = (NotFound, TooLarge, UnsupportedMediaType, NotAllowed)


@router.post(
    "/start",
    summary="Start a chat session",
    operation_id="startChat",
    response_description="The session.",
    openapi_extra=KEYED,
    responses=documented(*_WRITE),
)
async def start(by: Chatting) -> schemas.SessionStarted:
    """Open a conversation with the assistant. The greeting is not part of its history."""
    accepted = await by.app.accept.open(by.caller, None, by.key)
    return schemas.SessionStarted(
        session_id=fields.session_id(accepted.id), conversation_id=accepted.id, message=GREETING
    )


@router.post(
    "/{session_id}/message",
    summary="Say something to the assistant",
    operation_id="sendChatMessage",
    response_model=schemas.ChatAnswer,
    response_description="The answer; both messages are stored for good.",
    openapi_extra=KEYED_RESUMED,
    responses=documented(*_WRITE, *_BODY, BadGateway, GatewayTimeout) | streams.DOCUMENTED,
)
@fast
async def send(
    *,
    by: Chatting,
    session_id: SessionId,
    body: schemas.ChatMessage,
    request: Request,
    wants_stream: WantsStream,
    last_event_id: LastEventId,
    parts: streams.WithParts = False,
) -> schemas.ChatAnswer | Response:
    """The message and the answer are both in the log when this answers.

    With an `Idempotency-Key` at most one answer of the turn is stored: a retry waits for a turn
    that is still running, gets the answer of a finished one, and asks the assistant again only if
    no answer was accepted. When the model fails (502, 504) the message is kept.

    With `Accept: text/event-stream` the answer comes as it is made: `start`, `delta` …, `end`. It
    goes on, and is stored, though the client goes away; `GET …/stream` shows it again.

    `Last-Event-ID` marks a reconnection: with the request's key the stream goes on after that
    event, and is a 204 if it was the last; without a key it is always a 204, never a new message.
    """
    extra = body.extra_of_files
    if body.extra is not None:
        extra = raw_json.extra_of(raw_json.text_of(await request.body()))
    named = [one.id for one in body.attachments or ()] or assets.named_by(body.extra)
    await by.app.attachments.check(by.caller.user_id, named, assets.FIELD)
    asked = _Asked(by, session_id, body.message, extra, body.replaces, last_event_id)
    return await (_streamed(asked, with_parts=parts) if wants_stream else _answered(asked))


@router.post(
    "/{session_id}/regenerate",
    summary="Have the last message answered again",
    operation_id="regenerateAnswer",
    response_model=schemas.ChatAnswer,
    response_description="The new answer; the old one is kept as a branch.",
    openapi_extra=KEYED_RESUMED,
    responses=documented(*_WRITE, NotFound, NotAllowed, BadGateway, GatewayTimeout)
    | streams.DOCUMENTED,
)
async def regenerate(
    *,
    by: Chatting,
    session_id: SessionId,
    wants_stream: WantsStream,
    last_event_id: LastEventId,
    parts: streams.WithParts = False,
) -> schemas.ChatAnswer | Response:
    """The user's last message comes again, in its place, and is answered anew, as one write.

    What was there is put aside as a branch: `GET /api/conversations/{id}/branches` lists it, and
    `switch` brings it back. All that holds of a message holds here: its key, its stream,
    `Last-Event-ID`.
    """
    asked = _Asked(by, session_id, None, None, None, last_event_id)
    return await (_streamed(asked, with_parts=parts) if wants_stream else _answered(asked))


@router.get(
    "/{session_id}/history",
    summary="Read a session's history",
    operation_id="chatHistory",
    response_model=schemas.History,
    response_description="A gapless part of the history.",
    responses=documented(*_READ),
)
@fast
async def history(
    *,
    by: Reading,
    session_id: SessionId,
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
    limit: LimitIfAny = None,
    offset: OffsetIfAny = None,
) -> Response:
    """Oldest first. Without `limit` and `offset`: the latest 50, the oldest of them first.

    There are fewer where their contents reach 1 MiB: the next `offset` is that of the first that
    was left out.
    """
    shown_offset = offset if limit is None else offset or 0
    wanted = chat_documents.Wanted(
        by.owner, session_id, fields.session_id(session_id), limit or HISTORY_LIMIT, shown_offset
    )
    page = await message_pages.read(by.app.reads, wanted, read_after, by.slot)
    rest = schemas.History(
        messages=[],
        total_count=page.total,
        session_id=wanted.session_id,
        conversation_id=session_id,
    )
    return raw_json.page(rest, "messages", page.documents)


@router.delete(
    "/{session_id}",
    summary="End a chat session",
    operation_id="endChat",
    response_description="The session has ended.",
    openapi_extra=KEYED,
    responses=documented(*_WRITE, NotFound),
)
async def end(by: Chatting, session_id: SessionId) -> schemas.SessionEnded:
    """The session takes no more messages (409); its history stays readable."""
    accepted = await by.app.accept.close(by.caller, session_id, by.key)
    return schemas.SessionEnded(
        message="The session has ended.",
        session_id=fields.session_id(session_id),
        entry_id=accepted.id,
    )


class _Asked(NamedTuple):
    """What a chat turn asks, of whom."""

    by: Chatting
    session_id: int
    #: None: the last one again.
    message: str | None
    extra: str | None
    replaces: int | None
    last_event_id: int | None

    @property
    def is_reconnection(self) -> bool:
        """It is never a new message."""
        return self.last_event_id is not None and self.by.key is None


async def _answered(asked: _Asked) -> schemas.ChatAnswer | Response:
    by, session_id = asked.by, asked.session_id
    if asked.is_reconnection:
        return Response(status_code=204)
    answered = await by.app.chat.turn(
        *(by.caller, session_id, asked.message, by.key),
        extra=asked.extra,
        replaces=asked.replaces,
    )
    return schemas.ChatAnswer.of(session_id, answered)


async def _streamed(asked: _Asked, *, with_parts: bool) -> Response:
    by, session_id = asked.by, asked.session_id
    if asked.is_reconnection:
        return Response(status_code=204)
    events = await by.app.streamed_chat.send(
        *(by.caller, session_id, asked.message, by.key),
        extra=asked.extra,
        replaces=asked.replaces,
        after=asked.last_event_id or 0,
    )
    return streams.respond(by.app, by.caller, events, with_parts=with_parts)
