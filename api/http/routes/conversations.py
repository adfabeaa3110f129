"""Conversations: writes answer when the log has them, reads ask PostgreSQL."""

from functools import partial
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import StreamingResponse

from api.accounts import markdown_export
from api.core.cursors import Order, Sort
from api.core.errors import Conflict, Gone, NotAllowed, NotFound, TooLarge
from api.core.models.conversations import Conversation
from api.http import raw_json
from api.http.dependencies import KEYED, Reader, Reading, Write, Writing
from api.http.fast_lane import fast
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import (
    CHOICES,
    Archived,
    ConversationId,
    ExternalIdIfAny,
    Limit,
    Offset,
    Pinned,
    ReadAfter,
    Search,
    TagIfAny,
)
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas import conversations as schemas
from api.http.session_stream import SessionStream
from api.reads import conversation_documents
from api.reads.conversation_documents import Filters
from api.reads.conversations import ConversationRepository
from api.writes.submit import Accepted

router = APIRouter(
    prefix="/api/conversations", tags=["conversations"], max_body_size=BODY_MOST_BYTES
)

_READ: Final = (*CALLER, Gone, NotAllowed)
_WRITE: Final = (*CALLER, Conflict)
_BODY: Final = (TooLarge, UnsupportedMediaType, NotAllowed)
_ACCEPTED: Final = "Accepted: it is in the log, on disk."
_MARKDOWN: Final = "# Groceries\n\n## User (2026-05-01 10:00)\n\nWhat do we need?\n\n"


@router.post("", include_in_schema=False, status_code=status.HTTP_202_ACCEPTED)
@router.post(
    "/",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Open a conversation",
    operation_id="openConversation",
    response_model=schemas.Conversation,
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses={
        200: {"model": schemas.Conversation, "description": "The one with this `external_id`."},
        **documented(*_WRITE, *_BODY),
    },
)
async def open_conversation(
    by: Writing, request: Request, body: schemas.NewConversation | None = None
) -> Response:
    """The conversation is accepted: reads know it a moment later, and wait for it until then.

    With an `external_id` that one of yours has already, that one is answered (200), as it is.
    """
    body = body or schemas.NewConversation()
    _check_retention(by, body.expires_in_days)
    metadata = await _metadata_of(body, request)
    fields = body.fields(metadata)
    opened: Accepted | Conversation
    if fields.keys() <= {"title"}:
        opened = await by.app.accept.open(by.caller, body.title, by.key)
    else:
        opened = await by.app.accept.open_or_get(by.caller, fields, by.key)
    if isinstance(opened, Conversation):
        return _shown(schemas.Conversation.of(opened), opened.metadata_text, status.HTTP_200_OK)
    created_at = body.created_at or opened.created_at
    shown = schemas.Conversation(
        id=opened.id,
        user_id=by.caller.user_id,
        title=body.title,
        created_at=created_at,
        updated_at=created_at,
        message_count=0,
        external_id=body.external_id,
        tags=body.tags or None,
        expires_in_days=body.expires_in_days,
    )
    return _shown(shown, metadata, status.HTTP_202_ACCEPTED)


async def _metadata_of(
    body: schemas.NewConversation | schemas.ConversationChange, request: Request
) -> str | None:
    """Return the text of the metadata of a body, if it has any."""
    if body.metadata is None:
        return None
    return raw_json.metadata_of(raw_json.text_of(await request.body()))


def _shown(
    conversation: schemas.Conversation, metadata: str | None, code: int = status.HTTP_200_OK
) -> Response:
    """Answer with a conversation, its metadata as the text that they were written as."""
    content = raw_json.document(conversation, "metadata", metadata)
    return Response(content, code, media_type="application/json")


def _check_retention(by: Write, expires_in_days: int | None) -> None:
    """Raise NotAllowed where a conversation is to be deleted one day, and no server would."""
    if expires_in_days is not None and not by.app.settings.retention_days:
        raise NotAllowed("expires_in_days: this server deletes nothing by age (RETENTION_DAYS)")


@router.get("", include_in_schema=False)
@router.get(
    "/",
    summary="List conversations",
    operation_id="listConversations",
    response_model=schemas.Conversations,
    responses=documented(*_READ),
)
@fast
async def list_conversations(
    *,
    by: Reading,
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
    limit: Limit = 20,
    offset: Offset = 0,
    sort: Sort = "updated_at",
    order: Order = "desc",
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before; instead of `offset`.")
    ] = None,
    q: Search = "",
    external_id: ExternalIdIfAny = None,
    tag: TagIfAny = None,
    archived: Archived = "any",
    pinned: Pinned = "any",
) -> Response:
    """Pages by `cursor` cost the same at any depth and miss nothing that is written meanwhile."""
    if cursor is not None and offset:
        raise NotAllowed("cursor and offset exclude each other")
    filters = Filters(q, external_id, tag, CHOICES[archived], CHOICES[pinned])
    wanted = conversation_documents.Wanted(by.owner, limit, offset, sort, order, cursor, filters)
    page = await conversation_documents.page(by.app.reads, wanted, read_after, by.slot)
    rest = schemas.Conversations(
        conversations=[], total=page.total, limit=limit, offset=offset, next_cursor=page.next_cursor
    )
    return raw_json.page(rest, "conversations", page.documents)


@router.get(
    "/{conversation_id}",
    summary="Get a conversation",
    operation_id="getConversation",
    response_model=schemas.Conversation,
    responses=documented(*CALLER, NotFound, Gone),
)
async def get_conversation(
    by: Reading,
    conversation_id: ConversationId,
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """One that was accepted a moment ago is waited for, never a 404."""
    conversation = await by.app.reads.of_conversation(
        by.owner,
        conversation_id,
        read_after,
        lambda session: ConversationRepository(session).get(by.owner, conversation_id),
        by.slot,
    )
    return _shown(schemas.Conversation.of(conversation), conversation.metadata_text)


@router.get(
    "/{conversation_id}/export",
    summary="Export a conversation, to read",
    operation_id="exportConversation",
    response_class=StreamingResponse,
    response_description="A Markdown document.",
    responses={
        200: {"content": {"text/markdown": {"example": _MARKDOWN}}},
        **documented(*_READ, NotFound),
    },
)
async def export_conversation(
    by: Reading,
    caller: Reader,
    conversation_id: ConversationId,
    form: Annotated[Literal["markdown"], Query(description="What it is written as.")] = "markdown",  # noqa: ARG001 - there is one form
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
) -> StreamingResponse:
    """Its title, and each message under a heading with its role and its time, in UTC.

    Streamed, however long it is. It has what was stored when it began, and ends with the session.
    """
    reads = by.app.reads
    start = await markdown_export.begin(reads, by.owner, conversation_id, read_after, by.slot)
    return SessionStream(
        markdown_export.pieces(reads, by.owner, conversation_id, start),
        until_ended=partial(by.app.sessions.until_ended, caller),
        media_type="text/markdown; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="conversation-{conversation_id}.md"'
        },
    )


@router.patch(
    "/{conversation_id}",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Change a conversation",
    operation_id="renameConversation",
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses=documented(*_WRITE, *_BODY, NotFound),
)
async def rename_conversation(
    by: Writing,
    conversation_id: ConversationId,
    body: schemas.ConversationChange,
    request: Request,
) -> schemas.Change:
    """The change is accepted; read it with `read_after=<entry_id>`. What is left out stays."""
    _check_retention(by, body.expires_in_days)
    if body.is_title_only:
        accepted = await by.app.accept.rename(by.caller, conversation_id, body.title, by.key)
    else:
        fields = body.fields(await _metadata_of(body, request))
        accepted = await by.app.accept.set(by.caller, conversation_id, fields, by.key)
    return schemas.Change(id=conversation_id, entry_id=accepted.id)


@router.delete(
    "/{conversation_id}",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Delete a conversation",
    operation_id="deleteConversation",
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses=documented(*_WRITE, NotFound),
)
async def delete_conversation(by: Writing, conversation_id: ConversationId) -> schemas.Change:
    """It stays deleted, whatever of it is still queued. Deleting it again answers 202 again."""
    accepted = await by.app.accept.delete(by.caller, conversation_id, by.key)
    return schemas.Change(id=conversation_id, entry_id=accepted.id)
