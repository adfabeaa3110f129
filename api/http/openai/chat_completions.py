"""The recording gateway: chat completions are forwarded, and stored as conversations."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.chat.gateway.answer import GatheredAnswer
from api.chat.gateway.recorder import Recorder, Recording
from api.chat.gateway.said import Said, chain
from api.chat.gateway.tasks import is_task
from api.chat.gateway.upstream import Answering, Upstream
from api.core.errors import (
    BadGateway,
    BadRequest,
    Conflict,
    GatewayTimeout,
    NotFound,
    TooLarge,
)
from api.core.text import EXTERNAL_ID_MOST, is_storable
from api.http import raw_json
from api.http.dependencies import KEYED, App, Chatter, Chatting
from api.http.middleware import BODY_MOST_BYTES, HEADERS
from api.http.openai import names
from api.http.openai.errors import PREFIX, error_document, errors
from api.http.problems import CALLER, UnsupportedMediaType
from api.http.sent_headers import sent
from api.http.services import Services
from api.http.session_stream import SessionStream

router = APIRouter(prefix=PREFIX.rstrip("/"), tags=["openai"], max_body_size=BODY_MOST_BYTES)

#: Headers that name a conversation: ours, and those that front ends forward.
_NAMED_BY: Final = (b"verbatim-conversation", b"x-openwebui-chat-id", b"x-conversation-id")
_HEADERS: Final = {
    "X-Accel-Buffering": "no",
    "Cache-Control": f"{HEADERS['Cache-Control']}, no-transform",
}
#: Most bytes of an answer that is not streamed.
_ANSWER_MOST_BYTES: Final = 16 * 1024 * 1024
_FIRST_ERROR: Final = 400
_FAILURES: Final = (*CALLER, NotFound, BadGateway, GatewayTimeout)


class ChatCompletionRequest(BaseModel):
    """What is forwarded, as it is: only these fields are looked at."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, Any]] = Field(
        min_length=1, examples=[[{"role": "user", "content": "Buy milk tomorrow"}]]
    )
    stream: bool | None = Field(default=None, description="Whether the answer is streamed.")
    store: bool | None = Field(default=None, description="false: nothing is stored here, either.")
    metadata: dict[str, Any] | None = Field(
        default=None, description="`conversation_id` names the conversation, as a header does."
    )


@router.post(
    "/chat/completions",
    summary="Ask the model, and store what is said",
    operation_id="v1CreateChatCompletion",
    response_class=Response,
    openapi_extra=KEYED,
    responses=errors(*_FAILURES, Conflict, TooLarge, UnsupportedMediaType),
)
async def create_chat_completion(
    by: Chatting, body: ChatCompletionRequest, request: Request
) -> Response:
    """Forwarded to `OPENAI_BASE_URL`; the answer is passed on as it comes. Off: 404."""
    upstream, recorder = _gateway(by.app)
    written = await request.body()
    recording = None
    if said := _said(body, raw_json.text_of(written)):
        named = _named(request, body)
        recording = await recorder.begin(by.caller, said, named, by.key)
    async with AsyncExitStack() as stack:
        answering = await stack.enter_async_context(
            upstream.ask("POST", "chat/completions", written)
        )
        headers = answering.headers | _HEADERS
        if recording is not None:
            headers["Verbatim-Conversation"] = names.of_conversation(recording.conversation_id)
        if not answering.is_stream:
            return await _whole(answering, headers, recorder, recording)
        rest = stack.pop_all()
        return SessionStream(
            _passed(answering, rest, recorder, recording),
            until_ended=partial(by.app.sessions.until_ended, by.caller),
            media_type=headers.pop("content-type"),
            headers=headers,
        )
    raise AssertionError("an answer is whole or a stream")


@router.get(
    "/models",
    summary="List the models",
    operation_id="v1ListModels",
    response_class=Response,
    responses=errors(*_FAILURES),
)
async def list_models(app: App, caller: Chatter) -> Response:
    """Those of `OPENAI_BASE_URL`, as it lists them. Off: 404."""
    del caller
    upstream, _ = _gateway(app)
    async with upstream.ask("GET", "models", None) as answering:
        return await _whole(answering, answering.headers, None, None)


def _gateway(app: Services) -> tuple[Upstream, Recorder]:
    if app.gateway is None:
        raise NotFound("the gateway is off (GATEWAY)")
    return app.gateway


def _said(body: ChatCompletionRequest, text: str) -> list[Said]:
    """Return what is to be stored of a request: nothing of what asks for no conversation's sake."""
    if body.store is False or is_task(body.messages[-1]):
        return []
    texts = raw_json.elements(raw_json.members(text)["messages"])
    said = chain(body.messages, texts)
    for place, one in enumerate(said):
        if one.draft.extra is not None:
            raw_json.storable_extra(one.draft.extra, f"messages.{place}")
    return said


def _named(request: Request, body: ChatCompletionRequest) -> str | None:
    """Return the name that a request gives its conversation. Raises BadRequest."""
    named: Any = None
    for header in _NAMED_BY:
        if values := sent(request.scope, header):
            named = values[0]
            break
    else:
        named = (body.metadata or {}).get("conversation_id")
    if named is None:
        return None
    if not isinstance(named, str) or not 1 <= len(named) <= EXTERNAL_ID_MOST:
        raise BadRequest("a conversation is named by 1 to 255 characters")
    if not is_storable(named):
        raise BadRequest("a conversation's name has no NUL and no halves of surrogate pairs")
    return named


async def _whole(
    answering: Answering,
    headers: dict[str, str],
    recorder: Recorder | None,
    recording: Recording | None,
) -> Response:
    body = bytearray()
    async for chunk in answering.chunks:
        body += chunk
        if len(body) > _ANSWER_MOST_BYTES:
            raise BadGateway("the model's answer has no end")
    if recorder and recording and answering.status < _FIRST_ERROR:
        answer = GatheredAnswer()
        answer.whole(body.decode(errors="replace"))
        await recorder.end(recording, answer)
    return Response(bytes(body), answering.status, headers)


async def _passed(
    answering: Answering, opened: AsyncExitStack, recorder: Recorder, recording: Recording | None
) -> AsyncIterator[bytes]:
    """Pass an answer on as it comes; its end once it is stored."""
    answer = GatheredAnswer()
    wanted = recording
    try:
        async with opened:
            async for chunk in answering.chunks:
                answer.add(chunk)
                if answer.is_over and wanted is not None:
                    ended, wanted = wanted, None
                    await recorder.end(ended, answer)
                yield chunk
        if wanted is not None:
            ended, wanted = wanted, None
            await recorder.end(ended, answer)
    except (BadGateway, GatewayTimeout) as problem:
        # Too late for a status: the SDKs raise what such an event says.
        yield b"\n\ndata: %b\n\n" % error_document(problem)
    finally:
        # Also where the client has left: what was said so far is kept.
        if wanted is not None:
            recorder.end_apart(wanted, answer)
