"""Conversations and their messages: writes answer when the log has them, reads ask PostgreSQL."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response, status
from sqlmodel import Session

from api.core import models
from api.core.batches import Draft
from api.core.cursors import Order, Sort
from api.core.errors import Conflict, Gone, NotAllowed, NotFound, TooLarge
from api.core.ids import PARTITIONS
from api.http import raw_json, schemas
from api.http.dependencies import KEYED, Reading, Write, Writing
from api.http.fields import (
    Archived,
    ConversationId,
    ExternalIdIfAny,
    Limit,
    Offset,
    Pinned,
    PositionIfAny,
    ReadAfter,
    Search,
    TagIfAny,
)
from api.http.middleware import BODY_MOST_BYTES
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.reads.repositories import (
    ConversationRepository,
    Filters,
    MessagePage,
    MessageRepository,
)
from api.writes.submit import Accepted

router = APIRouter(
    prefix="/api/conversations", tags=["conversations"], max_body_size=BODY_MOST_BYTES
)

_READ: Final = (*CALLER, Gone, NotAllowed)
_WRITE: Final = (*CALLER, Conflict)
_BODY: Final = (TooLarge, UnsupportedMediaType, NotAllowed)
_CHOICES: Final = {"true": True, "false": False, "any": None}
_ACCEPTED: Final = "Accepted: it is in the log, on disk."


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
    opened: Accepted | models.Conversation
    if fields.keys() <= {"title"}:
        opened = await by.app.accept.open(by.caller, body.title, by.key)
    else:
        opened = await by.app.accept.open_or_get(by.caller, fields, by.key)
    if isinstance(opened, models.Conversation):
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
    filters = Filters(external_id, tag, _CHOICES[archived], _CHOICES[pinned])
    page = await by.app.reads.after(
        by.owner,
        read_after,
        lambda session: ConversationRepository(session).list(
            by.owner,
            limit=limit,
            offset=offset,
            sort=sort,
            order=order,
            cursor=cursor,
            search=q,
            filters=filters,
        ),
        by.slot,
    )
    shown = schemas.Conversations(
        conversations=[], total=page.total, limit=limit, offset=offset, next_cursor=page.next_cursor
    )
    documents = (
        raw_json.document(schemas.Conversation.of(row), "metadata", row.metadata_text)
        for row in page.conversations
    )
    return raw_json.page(shown, "conversations", documents)


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


@router.post(
    "/{conversation_id}/messages",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Add a message",
    operation_id="addMessage",
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses=documented(*_WRITE, *_BODY, NotFound),
)
async def add_message(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessage, request: Request
) -> schemas.QueuedMessage:
    """The message is on disk in the log when this answers, and in PostgreSQL a moment later.

    One that was added before with the same `external_id` answers again, as with a repeated
    `Idempotency-Key`; with other words it is a 409.
    """
    extra = None
    if body.extra is not None:
        extra = raw_json.extra_of(raw_json.text_of(await request.body()))
    accepted = await by.app.accept.add(
        *(by.caller, conversation_id, body.role, body.content, by.key),
        external_id=body.external_id,
        extra=extra,
    )
    return _queued(by, conversation_id, body, accepted.id, accepted.created_at)


@router.post(
    "/{conversation_id}/messages/batch",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Add messages, all or none",
    operation_id="addMessages",
    response_description=_ACCEPTED,
    openapi_extra=KEYED,
    responses=documented(*_WRITE, *_BODY, NotFound),
)
async def add_messages(
    by: Writing, conversation_id: ConversationId, body: schemas.NewMessages, request: Request
) -> schemas.QueuedMessages:
    """One entry of the log: readers see all of them, or none. They follow each other at once."""
    texts = raw_json.elements(raw_json.members(raw_json.text_of(await request.body()))["messages"])
    drafts = [
        Draft(
            *(message.role, message.content, message.external_id),
            raw_json.extra_of(texts[place], f"messages.{place}.extra")
            if message.extra is not None
            else None,
        )
        for place, message in enumerate(body.messages)
    ]
    accepted = await by.app.accept.add_batch(by.caller, conversation_id, drafts, by.key)
    first = accepted.id - PARTITIONS * (len(drafts) - 1)
    return schemas.QueuedMessages(
        messages=[
            _queued(by, conversation_id, one, first + PARTITIONS * place, accepted.created_at)
            for place, one in enumerate(body.messages)
        ],
        entry_id=accepted.id,
    )


def _queued(
    by: Write, conversation_id: int, body: schemas.NewMessage, message_id: int, at: datetime
) -> schemas.QueuedMessage:
    return schemas.QueuedMessage(
        id=message_id,
        user_id=by.caller.user_id,
        conversation_id=conversation_id,
        role=body.role,
        content=body.content,
        created_at=at,
        external_id=body.external_id,
    )


@router.get(
    "/{conversation_id}/messages",
    summary="Read messages",
    operation_id="listMessages",
    response_model=schemas.Messages,
    responses=documented(*_READ, NotFound),
)
async def list_messages(
    *,
    by: Reading,
    conversation_id: ConversationId,
    read_after: ReadAfter = [],  # noqa: B006 - FastAPI copies it
    limit: Limit = 50,
    offset: Offset = 0,
    after: PositionIfAny = None,
    before: PositionIfAny = None,
    order: Order = "asc",
    extra: Annotated[bool, Query(description="Whether `extra` is answered, or null.")] = True,
    external_id: ExternalIdIfAny = None,
) -> schemas.Messages | Response:
    """Oldest first unless `order=desc`. `after` and `before` give the messages next to a position.

    A page ends before its `limit` where its contents reach 1 MiB: go on `after` its last position.
    Any depth costs the same. What is returned is always a gapless part of what was accepted.
    """
    chosen = (offset > 0, after is not None, before is not None, external_id is not None)
    if sum(chosen) > 1:
        raise NotAllowed("offset, after, before and external_id exclude each other")

    owner = by.owner

    def query(session: Session) -> MessagePage | None:
        messages = MessageRepository(session, with_extra=extra)
        if external_id is not None:
            return messages.by_external_id(owner, conversation_id, external_id)
        if after is not None:
            return messages.after(owner, conversation_id, position=after, limit=limit, order=order)
        if before is not None:
            return messages.before(
                owner, conversation_id, position=before, limit=limit, order=order
            )
        return messages.page(owner, conversation_id, limit=limit, offset=offset, order=order)

    page = await by.app.reads.of_conversation(owner, conversation_id, read_after, query, by.slot)
    shown = schemas.Messages(
        messages=[schemas.Message.model_validate(message) for message in page.messages],
        total=page.total,
        limit=limit,
        offset=offset,
    )
    texts = [message.extra_text for message in page.messages]
    if not any(texts):
        return shown
    # Each as the text that it was written as.
    pairs = zip(shown.messages, texts, strict=True)
    return raw_json.page(
        shown, "messages", (raw_json.document(message, "extra", text) for message, text in pairs)
    )
