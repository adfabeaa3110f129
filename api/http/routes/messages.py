"""Messages: writes answer when the log has them, reads ask PostgreSQL."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response, status

from api.core import assets
from api.core.batches import Draft
from api.core.cursors import Order
from api.core.errors import Conflict, Gone, NotAllowed, NotFound, TooLarge
from api.core.ids import PARTITIONS
from api.http import raw_json
from api.http.dependencies import KEYED_IF_LAST, Reading, Write, Writing
from api.http.fast_lane import fast
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import (
    ConversationId,
    ExternalIdIfAny,
    Limit,
    MessageId,
    Offset,
    PositionIfAny,
    ReadAfter,
)
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas import messages as schemas
from api.http.schemas.conversations import Change
from api.reads import message_documents, message_pages
from api.reads.message_pages import Part

router = APIRouter(
    prefix="/api/conversations/{conversation_id}/messages",
    tags=["conversations"],
    max_body_size=BODY_MOST_BYTES,
)

_READ: Final = (*CALLER, Gone, NotAllowed)
_WRITE: Final = (*CALLER, Conflict)
_BODY: Final = (TooLarge, UnsupportedMediaType, NotAllowed)
_ACCEPTED: Final = "Accepted: it is in the log, on disk."


@router.post(
    "",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Add a message",
    operation_id="addMessage",
    response_description=_ACCEPTED,
    openapi_extra=KEYED_IF_LAST,
    responses=documented(*_WRITE, *_BODY, NotFound),
)
@fast
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
        await _check_assets(by, body.extra)
    accepted = await by.app.accept.add(
        *(by.caller, conversation_id, body.role, body.content, by.key),
        external_id=body.external_id,
        extra=extra,
        if_last=by.if_last,
    )
    return _queued(by, conversation_id, body, accepted.id, accepted.created_at)


@router.post(
    "/batch",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Add messages, all or none",
    operation_id="addMessages",
    response_description=_ACCEPTED,
    openapi_extra=KEYED_IF_LAST,
    responses=documented(*_WRITE, *_BODY, NotFound),
)
@fast
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
    for place, message in enumerate(body.messages):
        await _check_assets(by, message.extra, f"messages.{place}.extra")
    accepted = await by.app.accept.add_batch(
        by.caller, conversation_id, drafts, by.key, if_last=by.if_last
    )
    first = accepted.id - PARTITIONS * (len(drafts) - 1)
    return schemas.QueuedMessages(
        messages=[
            _queued(by, conversation_id, one, first + PARTITIONS * place, accepted.created_at)
            for place, one in enumerate(body.messages)
        ],
        entry_id=accepted.id,
    )


async def _check_assets(by: Write, extra: dict[str, Any] | None, where: str = "extra") -> None:
    """Raise NotAllowed where a message names an asset that is not its writer's."""
    if named := assets.named_by(extra):
        await by.app.attachments.check(by.caller.user_id, named, f"{where}.{assets.FIELD}")


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
    "",
    summary="Read messages",
    operation_id="listMessages",
    response_model=schemas.Messages,
    responses=documented(*_READ, NotFound),
)
@fast
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
) -> Response:
    """Oldest first unless `order=desc`. `after` and `before` give the messages next to a position.

    A page ends before its `limit` where its contents reach 1 MiB: go on `after` its last position.
    Any depth costs the same. What is returned is always a gapless part of what was accepted.
    """
    chosen = (offset > 0, after is not None, before is not None, external_id is not None)
    if sum(chosen) > 1:
        raise NotAllowed("offset, after, before and external_id exclude each other")

    part, place, nearest = _part_of(offset, after, before, external_id, order)
    wanted = message_documents.Wanted(
        *(by.owner, conversation_id, part, place, limit, nearest, order),
        with_extra=extra,
        external_id=external_id or "",
    )
    page = await message_pages.read(by.app.reads, wanted, read_after, by.slot)
    rest = schemas.Messages(messages=[], total=page.total, limit=limit, offset=offset)
    return raw_json.page(rest, "messages", page.documents)


def _part_of(
    offset: int, after: int | None, before: int | None, external_id: str | None, order: Order
) -> tuple[Part, int, Order]:
    """Return which part of a conversation a query names, where that is, and from which end."""
    if external_id is not None:
        return "external", 0, "asc"
    if after is not None:
        return "after", after, "asc"
    if before is not None:
        return "before", before, "desc"
    return ("after" if order == "asc" else "but_latest"), offset, order


@router.put(
    "/{message_id}",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Change a message",
    operation_id="changeMessage",
    response_description=_ACCEPTED,
    openapi_extra=KEYED_IF_LAST,
    responses=documented(*_WRITE, *_BODY, NotFound),
)
async def change_message(
    *,
    by: Writing,
    conversation_id: ConversationId,
    message_id: MessageId,
    body: schemas.ChangedMessage,
    request: Request,
) -> Change:
    """Its place and its time stay; `edited_at` tells of the change. What was there is gone."""
    fields: dict[str, str | None] = {}
    if "content" in body.model_fields_set:
        fields["content"] = body.content
    if "extra" in body.model_fields_set:
        text = raw_json.text_of(await request.body())
        fields["extra"] = None if body.extra is None else raw_json.extra_of(text)
        await _check_assets(by, body.extra)
    accepted = await by.app.accept.put(
        by.caller, conversation_id, message_id, fields, by.key, if_last=by.if_last
    )
    return Change(id=conversation_id, entry_id=accepted.id)


@router.delete(
    "/{message_id}",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Delete a message, or the conversation's end",
    operation_id="deleteMessages",
    response_description=_ACCEPTED,
    openapi_extra=KEYED_IF_LAST,
    responses=documented(*_WRITE, NotAllowed, NotFound),
)
async def delete_messages(
    *,
    by: Writing,
    conversation_id: ConversationId,
    message_id: MessageId,
    after: Annotated[bool, Query(description="This message and all after it.")] = False,
    keep: Annotated[
        bool, Query(description="With `after`: they are put aside, as a branch.")
    ] = False,
) -> Change:
    """One message keeps its place, empty, with the status `deleted`.

    With `after=true` the conversation ends before it. What was accepted before this is included,
    also what is not in PostgreSQL yet.
    """
    if keep and not after:
        raise NotAllowed("keep goes with after=true only")
    accept = by.app.accept
    if after:
        accepted = await accept.truncate(
            by.caller, conversation_id, message_id, by.key, keep=keep, if_last=by.if_last
        )
    else:
        accepted = await accept.remove(
            by.caller, conversation_id, message_id, by.key, if_last=by.if_last
        )
    return Change(id=conversation_id, entry_id=accepted.id)
