"""Items of conversations as OpenAI's SDKs call them, and their Agents SDK's sessions."""

from typing import Final

from fastapi import APIRouter, Request, Response
from sqlmodel import Session

from api.core.cursors import Order
from api.core.errors import Conflict, NotFound, TooLarge
from api.core.ids import PARTITIONS
from api.http import raw_json
from api.http.dependencies import KEYED, Reading, Writing
from api.http.middleware import BODY_MOST_BYTES
from api.http.openai import conversations, items, names, schemas
from api.http.openai.errors import PREFIX, errors
from api.http.problems import CALLER, UnsupportedMediaType
from api.http.services import Services
from api.reads.items import ItemRepository, StoredItem
from api.reads.responses import ResponseRepository

router = APIRouter(
    prefix=f"{PREFIX}conversations/{{conversation}}/items",
    tags=["openai"],
    max_body_size=BODY_MOST_BYTES,
)

_WRITE: Final = (*CALLER, Conflict, NotFound)


@router.post(
    "",
    summary="Add items, all or none",
    operation_id="v1CreateItems",
    response_model=schemas.OpenAIItems,
    openapi_extra=KEYED,
    responses=errors(*_WRITE, TooLarge, UnsupportedMediaType),
)
async def create_items(
    by: Writing, conversation: names.Conversation, body: schemas.NewOpenAIItems, request: Request
) -> Response:
    """One entry of the log: readers see all of them, or none. Without items nothing is written."""
    texts = items.texts_in(raw_json.text_of(await request.body()))
    drafts = items.drafts(body.items, texts)
    if not drafts:
        await conversations.of(by.app, by.caller.user_id, conversation)
        return _answer(items.page((), has_more=False))
    accepted = await by.app.accept.add_batch(by.caller, conversation, drafts, by.key)
    first = accepted.id - PARTITIONS * (len(drafts) - 1)
    added = [
        StoredItem(first + PARTITIONS * place, one.role, one.content, "stored", one.extra)
        for place, one in enumerate(drafts)
    ]
    return _answer(items.page(added, has_more=False))


@router.get(
    "",
    summary="List items",
    operation_id="v1ListItems",
    response_model=schemas.OpenAIItems,
    responses=errors(*CALLER, NotFound),
)
async def list_items(
    *,
    by: Reading,
    conversation: names.Conversation,
    limit: names.Limit = 100,
    order: Order = "desc",
    after: names.ItemIfAny = None,
) -> Response:
    """Whatever was accepted before is among them.

    A page ends before its `limit` where its contents reach 1 MiB. Items come back whole, whatever
    `include` says.
    """
    place = None if after is None else await _id_of(by.app, by.owner, conversation, after)
    found = await by.app.fresh_reads.of_conversation(
        by.owner,
        conversation,
        lambda session: ItemRepository(session).page(by.owner, conversation, place, order, limit),
        by.slot,
    )
    if not found.has_place:
        raise NotFound("there is no such item")
    return _answer(items.page(found.items, has_more=found.has_more))


@router.get(
    "/{item}",
    summary="Get an item",
    operation_id="v1RetrieveItem",
    response_model=schemas.OpenAIItem,
    responses=errors(*CALLER, NotFound),
)
async def retrieve_item(
    by: Reading, conversation: names.Conversation, item: names.Item
) -> Response:
    """As it is after everything that was accepted before."""
    message = await _id_of(by.app, by.owner, conversation, item)
    found = await by.app.fresh_reads.of_conversation(
        by.owner,
        conversation,
        lambda session: ItemRepository(session).get(by.owner, conversation, message),
        by.slot,
    )
    if not found.items:
        raise NotFound("there is no such item")
    _, document = items.shown(found.items[0])
    return _answer(document)


@router.delete(
    "/{item}",
    summary="Delete an item",
    operation_id="v1DeleteItem",
    response_model=schemas.OpenAIConversation,
    openapi_extra=KEYED,
    responses=errors(*_WRITE),
)
async def delete_item(by: Writing, conversation: names.Conversation, item: names.Item) -> Response:
    """The last item is gone. One before others leaves its place, empty, where `/api` shows it."""
    accept = by.app.accept
    message = await _id_of(by.app, by.caller.user_id, conversation, item)
    try:
        # A key of its own: repeated with the other call, one key would be a conflict.
        key = f"last {by.key}" if by.key else None
        await accept.truncate(by.caller, conversation, message, key, keep=False, if_last=message)
    except Conflict:
        await accept.remove(by.caller, conversation, message, by.key)
    return conversations.shown(await conversations.of(by.app, by.caller.user_id, conversation))


async def _id_of(app: Services, owner: int, conversation: int, item: str) -> int:
    """Return the id of the message that an item is. Raises NotFound."""
    named = names.item_named(item)
    if isinstance(named, int):
        return named

    def look(session: Session) -> list[StoredItem] | None:
        return ResponseRepository(session).outputs(owner, conversation, *named) or None

    try:
        found = await app.fresh_reads.of_conversation(owner, conversation, look)
    except NotFound:
        raise NotFound("there is no such item") from None
    return found[0].id


def _answer(document: str) -> Response:
    return Response(document, media_type="application/json")
