"""Assets: files that messages name. Uploaded as they are, and answered to their owner only."""

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Header, Request, Response, status

from api.core.errors import Conflict, NotAllowed, NotFound, TooLarge
from api.core.file_kinds import MediaType, media_type_of
from api.core.models.assets import Asset
from api.http.dependencies import App, Reading, Uploader, Writer
from api.http.middleware import ASSETS
from api.http.parameters import AssetId, AssetIdIfAny, Limit, NameOfFile
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas import assets as schemas

# The size of a file is bounded here, by a setting.
router = APIRouter(prefix=ASSETS, tags=["conversations"])

_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "text/plain")
_ANSWERED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in _TYPES
        }
    },
    304: {"description": "It is the file of `If-None-Match`."},
}
#: A file is shown or saved, never run: it has an origin of its own, without anything.
_SANDBOX: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
#: Kept by the browser, and asked for again each time: who signed out, or deleted it, sees nothing.
_KEPT: Final = "private, no-cache"


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Upload a file",
    operation_id="uploadAsset",
    response_description="The file is stored.",
    responses=documented(*CALLER, Conflict, NotAllowed, TooLarge, UnsupportedMediaType),
    openapi_extra=_FILE,
)
async def upload(
    app: App, request: Request, caller: Uploader, name: NameOfFile = "file"
) -> schemas.Asset:
    """The body is the file: a PNG, JPEG, GIF or WebP image, or a text in UTF-8.

    Its bytes tell which, not its name, nor a `Content-Type`. A message names it in
    `extra.attachments`, within 12 hours; a file that no message names goes after a day.
    """
    slot = request.state.read_slot = app.upload_slots.slot(caller.user_id)
    await slot.take()
    async with app.uploads.received(request) as data:
        if not data:
            raise NotAllowed("the file is empty")
        media_type = media_type_of(data)
        if media_type is None:
            raise UnsupportedMediaType("only PNG, JPEG, GIF and WebP images, and texts in UTF-8")
        asset = await app.assets.add(caller.user_id, name, media_type, data)
        return schemas.Asset.model_validate(asset)


@router.get(
    "",
    summary="List the files",
    operation_id="listAssets",
    response_description="Those that were uploaded last come first.",
    responses=documented(*CALLER, NotFound, NotAllowed),
)
async def list_assets(by: Reading, after: AssetIdIfAny = None, limit: Limit = 50) -> schemas.Assets:
    """The next page is `after` the last one of this."""
    await by.slot.take()
    page = await by.app.assets.page(by.owner, after, limit)
    return schemas.Assets(
        assets=[schemas.Asset.model_validate(asset) for asset in page.assets],
        total_bytes=page.total_bytes,
        most_bytes=by.app.settings.user_asset_bytes,
        file_most_bytes=by.app.settings.asset_max_bytes,
    )


@router.get(
    "/{asset_id}",
    summary="Read a file",
    operation_id="readAsset",
    response_class=Response,
    response_description="The file, as it was uploaded.",
    responses={**_ANSWERED, **documented(*CALLER, NotFound)},
)
async def read(
    by: Reading,
    asset_id: AssetId,
    if_none_match: Annotated[
        str | None, Header(alias="If-None-Match", description="The `ETag` that is known.")
    ] = None,
) -> Response:
    """Images are shown by browsers, texts are saved; nothing of either is run."""
    await by.slot.take()
    is_known = if_none_match is not None and _tag(asset_id) in if_none_match
    if is_known:
        asset = await by.app.assets.read(by.owner, asset_id)
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=_headers(asset))
    asset, data = await by.app.assets.read_with_data(by.owner, asset_id)
    return Response(data, headers=_headers(asset), media_type=_shown_as(asset.media_type))


@router.delete(
    "/{asset_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Delete a file",
    operation_id="deleteAsset",
    response_description="The file is gone.",
    responses=documented(*CALLER, NotFound),
)
async def delete(app: App, caller: Writer, asset_id: AssetId) -> None:
    """At once, whatever names it: messages keep its name."""
    await app.assets.delete(caller.user_id, asset_id)


def _headers(asset: Asset) -> dict[str, str]:
    return {
        "ETag": _tag(asset.id),
        "Cache-Control": _KEPT,
        "Content-Security-Policy": _SANDBOX,
        "Content-Disposition": _disposition(asset),
    }


def _tag(asset_id: str) -> str:
    return f'"{asset_id}"'


def _disposition(asset: Asset) -> str:
    shown = "attachment" if asset.media_type == "text/plain" else "inline"
    return f"{shown}; filename*=UTF-8''{quote(asset.name, safe='')}"


def _shown_as(media_type: MediaType) -> str:
    return "text/plain; charset=utf-8" if media_type == "text/plain" else media_type
