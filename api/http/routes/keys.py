"""API keys of one's own account."""

from fastapi import APIRouter, status

from api.core.errors import (
    BadRequest,
    Conflict,
    NotAllowed,
    NotFound,
    TooLarge,
)
from api.http.dependencies import App, SignedIn
from api.http.middleware import BODY_MOST_BYTES
from api.http.parameters import KeyId
from api.http.problems import CALLER, UnsupportedMediaType, documented
from api.http.schemas import accounts as schemas

router = APIRouter(prefix="/auth/keys", tags=["accounts"], max_body_size=BODY_MOST_BYTES)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Make an API key",
    operation_id="createKey",
    response_description="The key, which is shown this once.",
    responses=documented(*CALLER, BadRequest, Conflict, TooLarge, UnsupportedMediaType, NotAllowed),
)
async def create(app: App, caller: SignedIn, body: schemas.NewKey) -> schemas.CreatedKey:
    """For programs: send it as `Authorization: Bearer <key>`. It lasts until it is revoked.

    With `acts_for: "subjects"` each request names a person of the program's own, as
    `Verbatim-User: <1..255 characters>`: a user with data and limits of their own.
    """
    key, text = await app.api_keys.create(caller.user_id, body.name, body.scopes, body.acts_for)
    return schemas.CreatedKey(**schemas.Key.model_validate(key).model_dump(), key=text)


@router.get(
    "",
    summary="List the API keys",
    operation_id="listKeys",
    response_description="The account's keys, oldest first, without their secrets.",
    responses=documented(*CALLER),
)
async def list_keys(app: App, caller: SignedIn) -> schemas.Keys:
    """Keys that were revoked are not among them."""
    found = await app.api_keys.all(caller.user_id)
    return schemas.Keys(keys=[schemas.Key.model_validate(key) for key in found])


@router.delete(
    "/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke an API key",
    operation_id="revokeKey",
    response_description="The key is revoked: it writes nothing more.",
    responses=documented(*CALLER, NotFound),
)
async def revoke(app: App, caller: SignedIn, key_id: KeyId) -> None:
    """Writes refuse it at once, reads within two seconds. Its subjects and their data stay."""
    await app.api_keys.revoke(caller.user_id, key_id)
