"""Imports: JSON lines in, a line of JSON out for each."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api.core.errors import (
    Problem,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from api.http import import_lines
from api.http.dependencies import App, Writer
from api.http.import_lines import read_line, refused_line, taken_line
from api.http.middleware import IMPORT
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.protocol import slow_body
from api.http.session_stream import SessionStream
from api.writes.imports import Import

# The size of a line is bounded, not that of the body.
router = APIRouter(tags=["accounts"])

MEDIA_TYPE: Final = "application/x-ndjson"
#: A single line is JSON, too.
_TAKEN_TYPES: Final = {MEDIA_TYPE, "application/jsonl", "application/json"}
_EXAMPLE: Final = (
    '{"line": 1, "id": 244102400131075, "entry_id": 244102400147459, "external_id": "app:7", '
    '"messages": 2, "skipped": {}}\n'
)
_SENT: Final = (
    '{"external_id": "app:7", "title": "Trains", "created_at": "2023-11-14T22:13:20Z", '
    '"messages": [{"external_id": "1", "role": "user", "content": "When?"}]}\n'
)
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _SENT}},
    }
}


class _Answers(SessionStream):
    async def listen_for_disconnect(self, receive: Receive) -> None:  # noqa: ARG002 - Starlette calls it
        """Wait for ever: the body is still being read, and its reader hears of a disconnection."""
        await asyncio.get_running_loop().create_future()


@router.post(
    IMPORT,
    summary="Import conversations",
    operation_id="import",
    response_class=StreamingResponse,
    response_description="A line of JSON for each conversation.",
    responses={
        200: {"content": {MEDIA_TYPE: {"example": _EXAMPLE}}},
        **documented(*CALLER, UnsupportedMediaType),
    },
    openapi_extra=_BODY,
)
async def import_conversations(app: App, request: Request, caller: Writer) -> _Answers:
    """JSON lines, one conversation each, streamed in and out.

    A conversation is found again by its `external_id`, a message by its own: importing them again
    adds the messages that are new and changes nothing else. Each line is answered, in their order;
    one that is refused does not stop the others. After one with status 429 or 503 nothing more is
    read: send it again, with what followed it.
    """
    if request.headers.get("Content-Type", "").partition(";")[0].strip() not in _TAKEN_TYPES:
        raise UnsupportedMediaType(f"send {MEDIA_TYPE}")
    # The middleware gives it back at the end.
    slot = request.state.read_slot = app.import_slots.slot(caller.user_id)
    await slot.take()
    return _Answers(
        _answers(app.imports.begin(caller), slow_body(request, 1)),
        until_ended=partial(app.sessions.until_ended, caller),
        media_type=MEDIA_TYPE,
        headers={},
    )


async def _answers(running: Import, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for number, line in import_lines.split_lines(body):
            try:
                if line is None:
                    raise TooLarge("the line is larger than 1 MiB")
                if (wanted := read_line(line)) is None:
                    continue
                taken = await running.take(wanted)
            except (Problem, ValidationError) as error:
                yield refused_line(number, error)
                if isinstance(error, Unauthenticated | TooMany | Unavailable):
                    return
            else:
                yield taken_line(number, wanted.fields["external_id"], taken)
    except ClientDisconnect:
        return
