"""Streamed answers: watch one, watch it again after a reload, stop it."""

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from fastapi.sse import format_sse_event

from api.chat.answers import Answered
from api.chat.streaming.events import Delta, Event, Failed, Ping, Started, Told
from api.core import ids
from api.core.caller import Caller
from api.core.errors import NotAllowed, NotFound, TooLarge
from api.http import fields
from api.http.dependencies import RESUMED, App, Chatter, LastEventId
from api.http.fields import Id
from api.http.middleware import BODY_MOST_BYTES, HEADERS
from api.http.parameters import SessionId
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas import chat as schemas
from api.http.services import Services
from api.http.session_stream import SessionStream

router = APIRouter(prefix="/api/chat", tags=["chat"], max_body_size=BODY_MOST_BYTES)

WithParts = Annotated[
    bool,
    Query(
        alias="parts",
        description="Events `part` too, in a streamed answer: thoughts, tool calls, their results.",
    ),
]

_FAILURES: Final = (*CALLER, NotFound, NotAllowed)
_EXAMPLE: Final = (
    "id: 0\nevent: start\n"
    'data: {"sessionId": "sess_de6ec7d8b4000", "conversationId": 3912881020092416, '
    '"messageId": 3912881020096512}\n\n'
    "id: 6\nevent: delta\n"
    'data: {"text": "Hello!"}\n\n'
    "id: 7\nevent: end\n"
    'data: {"response": "Hello!", "replyId": 3912881020100608, "status": "stored", …}\n\n'
)
#: What a route that may stream adds to its documented answers.
DOCUMENTED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}}},
    204: {"description": "`Last-Event-ID` says that all was received, or nothing is known."},
}
_HEADERS: Final = {
    "X-Accel-Buffering": "no",
    # A proxy that compresses holds back what does not fill its buffer: word by word needs none.
    "Cache-Control": f"{HEADERS['Cache-Control']}, no-transform",
}
#: A line that all clients skip. With an empty line after it, some would take it for an event.
_HEARTBEAT: Final = b": ping\n"


@router.get(
    "/{session_id}/stream",
    summary="Watch an answer",
    operation_id="watchTurn",
    response_class=Response,
    response_description="The answer from `Last-Event-ID` on, as it is made.",
    openapi_extra=RESUMED,
    responses=documented(*_FAILURES) | DOCUMENTED,
)
async def watch(
    *,
    app: App,
    caller: Chatter,
    session_id: SessionId,
    turn: Annotated[Id, Query(description="The `messageId` of the turn.")],
    last_event_id: LastEventId,
    parts: WithParts = False,
) -> Response:
    """Any process can show a turn, whichever runs it. Watching neither starts nor stops one.

    204 when nothing is known of the turn (the history may have its answer), and when
    `Last-Event-ID` is the id of its `end`: an `EventSource` then stops asking.
    """
    after = last_event_id or 0
    events = await app.streamed_chat.resume(caller.user_id, session_id, turn, after)
    return respond(app, caller, events, with_parts=parts)


@router.get(
    "/{session_id}/turns",
    summary="List the running turns",
    operation_id="runningTurns",
    response_description="The streamed turns that are running.",
    responses=documented(*_FAILURES),
)
async def turns(app: App, caller: Chatter, session_id: SessionId) -> schemas.RunningTurns:
    """What a page that was reloaded asks, to go on showing them."""
    running = await app.streamed_chat.running(caller.user_id, session_id)
    return schemas.RunningTurns(
        turns=[
            schemas.RunningTurn(message_id=turn, started_at=ids.time_of(turn)) for turn in running
        ]
    )


@router.post(
    "/{session_id}/stop",
    summary="Stop an answer",
    operation_id="stopTurn",
    response_description="The turns that were asked to stop.",
    responses=documented(*_FAILURES, TooLarge, UnsupportedMediaType),
)
async def stop(
    app: App, caller: Chatter, session_id: SessionId, body: schemas.Stop | None = None
) -> schemas.Stopped:
    """What an answer has said so far is stored, as `interrupted`. Without `turn`: all of them."""
    turn = body.turn if body else None
    stopped = await app.streamed_chat.interrupt(caller.user_id, session_id, turn)
    return schemas.Stopped(stopped=stopped)


def respond(
    app: Services, caller: Caller, events: AsyncIterator[Event] | None, *, with_parts: bool
) -> Response:
    """Answer with server-sent events while the caller's session lasts.

    Without any events: 204, which ends reconnecting.
    """
    if events is None:
        return Response(status_code=204)
    # FastAPI's own EventSourceResponse encodes only what a generator route yields.
    return SessionStream(
        encoded(events, with_parts=with_parts),
        until_ended=partial(app.sessions.until_ended, caller),
        media_type="text/event-stream",
        headers=_HEADERS,
    )


async def encoded(events: AsyncIterator[Event], *, with_parts: bool) -> AsyncIterator[bytes]:
    """Yield a turn's events as server-sent events.

    Parts only for who asked for them: older clients take an event with an unknown name for one
    that they know.
    """
    session = ""
    conversation = 0
    async for event in events:
        match event:
            case Started(turn, after, remembers_from):
                conversation = turn.conversation_id
                session = fields.session_id(conversation)
                told = {"sessionId": session, "conversationId": conversation, "messageId": turn.id}
                if remembers_from is not None:
                    told["remembersFrom"] = remembers_from
                # A client that is cut off now goes on from here, not from the beginning.
                yield _event("start", told, str(after))
            case Delta(length, text):
                yield _event("delta", {"text": text}, str(length))
            case Told(index, part):
                if with_parts:
                    yield _event("part", {"index": index, "part": part})
            case Answered():
                told_end = schemas.ChatAnswer.of(conversation, event)
                # Beyond the text: a client that reconnects with this id has all of it.
                end_id = str(len(event.response) + 1)
                yield _event("end", told_end.model_dump(by_alias=True), end_id)
            case Failed(status, title, detail, retry_after):
                problem = {"type": "about:blank", "title": title, "status": status}
                waiting = {} if retry_after is None else {"retryAfter": retry_after}
                yield _event("error", problem | {"detail": detail} | waiting)
            case Ping():
                yield _HEARTBEAT


def _event(name: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    return format_sse_event(data_str=json.dumps(data, ensure_ascii=False), event=name, id=event_id)
