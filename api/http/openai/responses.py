"""OpenAI's responses: turns of a conversation, answered by the gateway's endpoint."""

import secrets
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from api.chat.responses.model import Endpoint
from api.chat.responses.telling import Told
from api.core.caller import Caller
from api.core.cursors import Order
from api.core.errors import BadGateway, Conflict, GatewayTimeout, NotFound, TooLarge
from api.core.ids import MAX_ID, PARTITIONS, first_at
from api.core.turns import TurnName
from api.http import raw_json
from api.http.dependencies import KEYED, Chatting, Reader, Reading, Writing
from api.http.middleware import BODY_MOST_BYTES, HEADERS
from api.http.openai import items, names, response_documents, response_events
from api.http.openai.errors import PREFIX, errors
from api.http.openai.response_documents import Document
from api.http.openai.response_requests import asked
from api.http.openai.response_schemas import (
    DeletedOpenAIResponse,
    NewOpenAIResponse,
    OpenAIResponse,
)
from api.http.openai.schemas import OpenAIItems
from api.http.problems import CALLER, UnsupportedMediaType
from api.http.services import Services
from api.http.session_stream import SessionStream
from api.reads.slots import ReadSlot

router = APIRouter(prefix=f"{PREFIX}responses", tags=["openai"], max_body_size=BODY_MOST_BYTES)

_FAILURES: Final = (*CALLER, NotFound)
_ASKING: Final = (*_FAILURES, Conflict, TooLarge, UnsupportedMediaType, BadGateway, GatewayTimeout)
_HEADERS: Final = {
    "X-Accel-Buffering": "no",
    "Cache-Control": f"{HEADERS['Cache-Control']}, no-transform",
}
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.post(
    "",
    summary="Ask the model for a response",
    operation_id="v1CreateResponse",
    response_model=OpenAIResponse,
    openapi_extra=KEYED,
    responses=errors(*_ASKING) | _STREAM,
)
async def create_response(by: Chatting, body: NewOpenAIResponse, request: Request) -> Response:
    """What is asked is stored before the model is; the response goes on though the client leaves.

    With an `Idempotency-Key`, at most one answer is stored: a repeated request is told of the same
    response, and the model is asked again only where no answer was accepted. Off: 404.
    """
    endpoint = _endpoint(by.app)
    told: AsyncIterator[Told]
    made, asks = by.app.responses, asked(body, await _text_of(request), endpoint.model)
    if asks.is_stored:
        begun = await made.begin(by.caller, asks.question, endpoint, by.key)
        told = made.told(begun)
    else:
        # The name of nothing: its conversation was not given out.
        now = first_at(time.time_ns() // 1_000_000, secrets.randbelow(PARTITIONS))
        begun = TurnName(by.caller.user_id, 1 + secrets.randbelow(MAX_ID), now)
        told = await made.passing(by.caller, asks.question, endpoint, begun.id)
    document = response_documents.running(begun, asks.request)
    if body.stream:
        return _streamed(by.app, by.caller, response_events.encoded(told, document, begun.id))
    if body.background:
        return _answer(document)
    return _answer(await response_events.whole(told, document))


@router.get(
    "/{response}",
    summary="Get a response, or the events of it",
    operation_id="v1RetrieveResponse",
    response_model=OpenAIResponse,
    responses=errors(*_FAILURES) | _STREAM,
)
async def retrieve_response(
    *,
    by: Reading,
    caller: Reader,
    response: names.Response,
    stream: Annotated[bool, Query(description="Its events, as they are made.")] = False,
    starting_after: Annotated[
        int | None,
        Query(ge=0, description="With `stream`: the number of the last event that was seen."),
    ] = None,
) -> Response:
    """As it is after everything that was accepted before. A stream ends when the response does.

    Its events have the same numbers whenever it is read, until ten minutes after its end. Then what
    comes after an event is the last one alone, which has all of it.
    """
    name = TurnName(by.owner, *names.response_named(response))
    if not stream:
        return _answer(await _shown(by.app, name, by.slot))
    found = await by.app.responses.get(name)
    document = response_documents.running(name, found.request)
    told = by.app.responses.told(name)
    events = response_events.encoded(told, document, name.id, starting_after)
    return _streamed(by.app, caller, events)


@router.get(
    "/{response}/input_items",
    summary="List what a response was asked",
    operation_id="v1ListInputItems",
    response_model=OpenAIItems,
    responses=errors(*_FAILURES),
)
async def list_input_items(
    *,
    by: Reading,
    response: names.Response,
    limit: names.Limit = 100,
    order: Order = "desc",
    after: names.ItemIfAny = None,
) -> Response:
    """The items of its own request, not what was said before."""
    found = await by.app.responses.get(TurnName(by.owner, *names.response_named(response)), by.slot)
    inputs = list(found.inputs if order == "asc" else reversed(found.inputs))
    if after is not None:
        places = [at for at, one in enumerate(inputs) if one.id == names.item_named(after)]
        if not places:
            raise NotFound("there is no such item")
        inputs = inputs[places[0] + 1 :]
    return _json(items.page(inputs[:limit], has_more=len(inputs) > limit))


@router.post(
    "/{response}/cancel",
    summary="Cancel a response",
    operation_id="v1CancelResponse",
    response_model=OpenAIResponse,
    responses=errors(*_FAILURES),
)
async def cancel_response(by: Chatting, response: names.Response) -> Response:
    """What it said so far is kept. One that has ended stays as it is."""
    name = TurnName(by.caller.user_id, *names.response_named(response))
    await by.app.responses.get(name)
    await by.app.responses.cancel(name)
    return _answer(await _shown(by.app, name))


@router.delete(
    "/{response}",
    summary="Delete a response",
    operation_id="v1DeleteResponse",
    openapi_extra=KEYED,
    responses=errors(*_FAILURES, Conflict),
)
async def delete_response(by: Writing, response: names.Response) -> DeletedOpenAIResponse:
    """What it was asked and answered is gone; what comes after it in the conversation stays.

    A conversation that it was alone in goes with it. One that is made now must be cancelled first.
    """
    name = TurnName(by.caller.user_id, *names.response_named(response))
    await by.app.responses.delete(by.caller, name, by.key)
    return DeletedOpenAIResponse(id=response)


async def _text_of(request: Request) -> str:
    return raw_json.text_of(await request.body())


def _endpoint(app: Services) -> Endpoint:
    if app.endpoint is None:
        raise NotFound("the gateway is off (GATEWAY)")
    return app.endpoint


async def _shown(app: Services, name: TurnName, slot: ReadSlot | None = None) -> Document:
    # Asked first: what a response answered that is over by now is in what is read then.
    is_running = await app.responses.is_running(name)
    found = await app.responses.get(name, slot)
    document = response_documents.running(name, found.request)
    if found.outputs:
        return response_documents.ended(document, found.outputs)
    failure = None if is_running else await app.responses.failure(name)
    return (
        document if failure is None else response_documents.failed(document, failure.problem.detail)
    )


def _streamed(app: Services, caller: Caller, events: AsyncIterator[bytes]) -> Response:
    return SessionStream(
        events,
        until_ended=partial(app.sessions.until_ended, caller),
        media_type="text/event-stream",
        headers=_HEADERS,
    )


def _answer(document: Document) -> Response:
    return _json(response_documents.encode(document))


def _json(document: str) -> Response:
    return Response(document, media_type="application/json")
