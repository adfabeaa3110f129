"""Conversations as OpenAI's SDKs call them, and a list of them, which those have no method for."""

from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request, Response
from sqlmodel import Session

from api.core.conversation_fields import ConversationFields
from api.core.cursors import Cursor, Order
from api.core.errors import Conflict, NotFound, TooLarge
from api.core.models.conversations import Conversation
from api.http import raw_json
from api.http.dependencies import KEYED, Read, Reading, Writing
from api.http.middleware import BODY_MOST_BYTES
from api.http.openai import items, names, schemas
from api.http.openai.errors import PREFIX, errors
from api.http.problems import CALLER, UnsupportedMediaType
from api.http.services import Services
from api.reads import conversation_documents
from api.reads.conversation_documents import Wanted
from api.reads.conversations import ConversationRepository

router = APIRouter(prefix=f"{PREFIX}conversations", tags=["openai"], max_body_size=BODY_MOST_BYTES)

_WRITE: Final = (*CALLER, Conflict)
_BODY: Final = (TooLarge, UnsupportedMediaType)


@router.post(
    "",
    summary="Open a conversation",
    operation_id="v1CreateConversation",
    response_model=schemas.OpenAIConversation,
    openapi_extra=KEYED,
    responses=errors(*_WRITE, *_BODY),
)
async def create_conversation(
    by: Writing, request: Request, body: schemas.NewOpenAIConversation | None = None
) -> Response:
    """With up to 100 first items: all are added, or none.

    Where they could not be, the conversation may be there without them. The same request with its
    `Idempotency-Key` opens no other one.
    """
    body = body or schemas.NewOpenAIConversation()
    text = raw_json.text_of(await request.body())
    drafts = items.drafts(body.items, items.texts_in(text)) if body.items else ()
    metadata = None if body.metadata is None else raw_json.metadata_of(text)
    fields: ConversationFields = {} if metadata is None else {"metadata": metadata}
    opened = await by.app.accept.open_or_get(by.caller, fields, by.key)
    if drafts:
        # A key of its own: the client's may come with other items.
        key = f"first {by.key}" if by.key else None
        await by.app.accept.add_batch(by.caller, opened.id, drafts, key)
    return _answer(_document(opened.id, opened.created_at, metadata))


@router.get(
    "",
    summary="List conversations",
    operation_id="v1ListConversations",
    response_model=schemas.OpenAIConversations,
    responses=errors(*CALLER, NotFound),
)
async def list_conversations(
    *,
    by: Reading,
    limit: names.Limit = 100,
    order: Order = "desc",
    after: names.ConversationIfAny = None,
) -> Response:
    """By their age, the youngest first. A conversation is in it a moment after it was opened."""
    cursor = None if after is None else await _cursor(by, after, order)
    wanted = Wanted(by.owner, limit, sort="created_at", order=order, cursor=cursor)
    page = await conversation_documents.page(by.app.reads, wanted, (), by.slot)
    documents = raw_json.elements(f"[{page.documents.decode()}]")
    known = [_of_document(raw_json.members(one)) for one in documents]
    listed = names.page(
        [document for _, document in known],
        [name for name, _ in known],
        has_more=page.next_cursor is not None,
    )
    return _answer(listed)


async def _cursor(by: Read, conversation_id: int, order: Order) -> str:
    """Return where a list goes on after a conversation. Raises NotFound where there is none."""
    last = await by.app.reads.of_conversation(
        by.owner,
        conversation_id,
        (),
        lambda session: ConversationRepository(session).get(by.owner, conversation_id),
        by.slot,
    )
    return Cursor("created_at", order, last.created_at, last.id).encode()


def _of_document(conversation: dict[str, str]) -> tuple[str, str]:
    """Return name and document of a conversation, given as `/api` shows it."""
    conversation_id = int(conversation["id"])
    created_at = datetime.fromisoformat(conversation["created_at"].strip('"'))
    metadata = conversation["metadata"]
    document = _document(conversation_id, created_at, None if metadata == "null" else metadata)
    return names.of_conversation(conversation_id), document


@router.get(
    "/{conversation}",
    summary="Get a conversation",
    operation_id="v1RetrieveConversation",
    response_model=schemas.OpenAIConversation,
    responses=errors(*CALLER, NotFound),
)
async def retrieve_conversation(by: Reading, conversation: names.Conversation) -> Response:
    """As it is after everything that was accepted before."""

    def look(session: Session) -> Conversation | None:
        return ConversationRepository(session).get(by.owner, conversation)

    found = await by.app.fresh_reads.of_conversation(by.owner, conversation, look, by.slot)
    return _answer(_document(found.id, found.created_at, found.metadata_text))


@router.post(
    "/{conversation}",
    summary="Change a conversation",
    operation_id="v1UpdateConversation",
    response_model=schemas.OpenAIConversation,
    openapi_extra=KEYED,
    responses=errors(*_WRITE, *_BODY, NotFound),
)
async def update_conversation(
    by: Writing,
    conversation: names.Conversation,
    body: schemas.OpenAIConversationChange,
    request: Request,
) -> Response:
    """Its metadata are replaced, all of them."""
    text = None
    if body.metadata is not None:
        text = raw_json.metadata_of(raw_json.text_of(await request.body()))
    await by.app.accept.set(by.caller, conversation, {"metadata": text}, by.key)
    found = await of(by.app, by.caller.user_id, conversation)
    return _answer(_document(found.id, found.created_at, text))


@router.delete(
    "/{conversation}",
    summary="Delete a conversation",
    operation_id="v1DeleteConversation",
    openapi_extra=KEYED,
    responses=errors(*_WRITE, NotFound),
)
async def delete_conversation(
    by: Writing, conversation: names.Conversation
) -> schemas.DeletedOpenAIConversation:
    """It stays deleted, whatever of it is still queued. Deleting it again answers the same."""
    await by.app.accept.delete(by.caller, conversation, by.key)
    return schemas.DeletedOpenAIConversation(id=names.of_conversation(conversation))


async def of(app: Services, owner: int, conversation_id: int) -> Conversation:
    """Return a conversation as PostgreSQL has it by now. Raises NotFound."""
    return await app.reads.of_conversation(
        owner,
        conversation_id,
        (),
        lambda session: ConversationRepository(session).get(owner, conversation_id),
    )


def shown(conversation: Conversation) -> Response:
    """Answer with a conversation."""
    return _answer(_document(conversation.id, conversation.created_at, conversation.metadata_text))


def _document(conversation_id: int, created_at: datetime, metadata: str | None) -> str:
    """Return a conversation as JSON, its metadata as the text that they were written as."""
    return (
        f'{{"id":"{names.of_conversation(conversation_id)}","object":"conversation",'
        f'"created_at":{int(created_at.timestamp())},"metadata":{metadata or "{}"}}}'
    )


def _answer(document: str) -> Response:
    return Response(document, media_type="application/json")
