"""Export and deletion of an account."""

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, status
from fastapi.responses import StreamingResponse

from api.accounts import export, users
from api.core.errors import Forbidden, Gone, NotAllowed, TooLarge, Unauthenticated
from api.http.dependencies import Address, App, Reader, Writer
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import ReadAfter
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas.accounts import Farewell
from api.http.session_stream import SessionStream

router = APIRouter(tags=["accounts"], max_body_size=BODY_MOST_BYTES)

_EXAMPLE = (
    '{"type": "account", "id": 1, "username": "ada", …}\n'
    '{"type": "conversation", "id": 244102400131075, "title": "Groceries", …}\n'
    '{"type": "message", "conversation_id": 244102400131075, "position": 1, "role": "user", …}\n'
    '{"type": "end", "conversations": 1, "messages": 1}\n'
)


@router.get(
    "/api/export",
    summary="Export everything",
    operation_id="export",
    response_class=StreamingResponse,
    response_description="JSON lines. Without the last one, `end`, the export is not whole.",
    responses={
        200: {"content": {"application/x-ndjson": {"example": _EXAMPLE}}},
        **documented(*CALLER, Gone, NotAllowed),
    },
)
async def export_everything(
    app: App,
    request: Request,
    caller: Reader,
    form: Annotated[
        Literal["lines", "conversations"],
        Query(description="`conversations`: a line each, with its messages, as an import takes it"),
    ] = "lines",
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
) -> StreamingResponse:
    """The account, each conversation, its messages in order. Streamed, however long it is.

    It has what was stored when it began, and ends with the session.
    """
    # The middleware gives it back at the end.
    slot = request.state.read_slot = app.export_slots.slot(caller.user_id)
    await slot.take()
    start = await export.begin(app.reads, caller.user_id, read_after)
    if form == "lines":
        lines = export.lines(app.reads, caller.user_id, start, app.bucket)
    else:
        lines = export.conversations_with_messages(app.reads, caller.user_id, start)
    return SessionStream(
        lines,
        until_ended=partial(app.sessions.until_ended, caller),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="verbatim.jsonl"'},
    )


@router.post(
    "/auth/me/delete",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete the account",
    operation_id="deleteAccount",
    response_description="The account is deleted, with all its data.",
    responses=documented(*CALLER, TooLarge, UnsupportedMediaType, NotAllowed),
)
async def delete_account(app: App, address: Address, caller: Writer, body: Farewell) -> None:
    """Conversations, messages, dead letters, sessions and the account itself, at once and for good.

    With an account go the subjects of its API keys; with such a key, the subject that it names.

    Entries still in the queue do not bring it back. After a 503 repeat it; a 401 then means that it
    is deleted.
    """
    if caller.scopes is not None and not caller.is_subject:
        raise Forbidden("an API key may delete a subject, not its own account: sign in")
    user = await users.get(app.database, caller.user_id)
    verified: str | None = user.password_hash
    if verified:
        verified = await app.credentials.check(user.username, body.password, address)
    if verified is None:
        raise Unauthenticated("the password is wrong")
    await app.deletion.delete(user.id, verified)
