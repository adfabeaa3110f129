"""Shared links of one's own, and what somebody's link shows."""

from typing import Final

from fastapi import APIRouter, Request, Response, status

from api.accounts.shared_links import as_import
from api.core.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    NotAllowed,
    NotFound,
    TooLarge,
    TooMany,
    Unavailable,
)
from api.http import raw_json
from api.http.dependencies import Address, App, Reader, SignedInOrNot, Writer, Writing
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import ConversationId, LinkSecret, SharedLinkId
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas import shared_links as schemas

router = APIRouter(tags=["conversations"], max_body_size=BODY_MOST_BYTES)

#: Who finds it must have been given the link: no search engine is to tell it on.
NOINDEX: Final = {"X-Robots-Tag": "noindex, nofollow"}


@router.post(
    "/api/conversations/{conversation_id}/share",
    status_code=status.HTTP_201_CREATED,
    summary="Share a conversation as it is now",
    operation_id="shareConversation",
    response_description="The link, which is shown this once.",
    responses=documented(
        *CALLER, Conflict, Gone, NotFound, TooLarge, UnsupportedMediaType, NotAllowed
    ),
)
async def share(
    by: Writing, conversation_id: ConversationId, body: schemas.NewSharedLink | None = None
) -> schemas.CreatedSharedLink:
    """Whoever has the link sees what the user and the assistant have said so far, and the title.

    Nothing that is written, edited or deleted later changes that; revoking the link, or deleting
    the conversation, ends it.
    """
    wanted = body or schemas.NewSharedLink()
    link, secret = await by.app.shared_links.create(
        by.caller.user_id, conversation_id, wanted.audience, wanted.expires_in_days
    )
    shown = schemas.SharedLink.model_validate(link).model_dump()
    return schemas.CreatedSharedLink(**shown, link=f"/shared/{secret}")


@router.get(
    "/api/shares",
    summary="List the shared links",
    operation_id="listShares",
    response_description="The account's links that show something, the latest first.",
    responses=documented(*CALLER),
)
async def list_links(app: App, caller: Reader) -> schemas.SharedLinks:
    """Those that were revoked or have expired are not among them."""
    found = await app.shared_links.all(caller.user_id)
    return schemas.SharedLinks(links=[schemas.SharedLink.model_validate(link) for link in found])


@router.delete(
    "/api/shares/{link_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke a shared link",
    operation_id="revokeShare",
    response_description="The link shows nothing any more.",
    responses=documented(*CALLER, NotFound),
)
async def revoke(app: App, caller: Writer, link_id: SharedLinkId) -> None:
    """What it showed is deleted. What others have imported from it stays theirs."""
    await app.shared_links.revoke(caller.user_id, link_id)


@router.get(
    "/api/shared/{secret}",
    summary="Read a shared conversation",
    operation_id="readShared",
    response_model=schemas.SharedConversation,
    responses=documented(BadRequest, Forbidden, NotFound, TooMany, Unavailable),
)
async def read(
    app: App, request: Request, reader: SignedInOrNot, address: Address, secret: LinkSecret
) -> Response:
    """Nobody need be signed in, unless the link is for those who are."""
    # The middleware gives it back at the end.
    slot = request.state.read_slot = app.link_slots.slot(hash(address))
    await slot.take()
    found = await app.shared_links.read(secret, reader)
    shown = schemas.SharedConversation(
        title=found.title, created_at=found.created_at, expires_at=found.expires_at, messages=[]
    )
    document = raw_json.document(shown, "messages", found.messages)
    return Response(document, media_type="application/json", headers=NOINDEX)


@router.post(
    "/api/shared/{secret}/import",
    summary="Import a shared conversation",
    operation_id="importShared",
    response_description="The copy is accepted: it is in the log, on disk.",
    responses=documented(*CALLER, Conflict, Gone, NotFound),
)
async def import_shared(
    app: App, request: Request, caller: Writer, secret: LinkSecret
) -> schemas.Imported:
    """A conversation of one's own with copies of the messages, which has no tie to the other.

    Repeating it adds what is missing and answers the same conversation.
    """
    slot = request.state.read_slot = app.import_slots.slot(caller.user_id)
    await slot.take()
    found = await app.shared_links.read(secret, caller.user_id)
    taken = await app.imports.begin(caller).take(as_import(found))
    return schemas.Imported(id=taken.id, entry_id=taken.entry_id, messages=taken.added)
