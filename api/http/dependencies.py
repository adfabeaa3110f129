"""What routes depend on: the only file with `Depends`. `api.main` builds all of it, once."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from api.accounts.credentials import Credentials
from api.accounts.deletion import AccountDeletion
from api.accounts.oidc import IdentityProvider
from api.accounts.password_process import PasswordProcess
from api.accounts.sessions import Sessions
from api.accounts.throttle import Throttle
from api.accounts.tokens import Tokens
from api.chat.streaming.chat import StreamedChat
from api.chat.turn import Chat
from api.core.async_database import AsyncDatabase
from api.core.caller import Caller
from api.core.errors import BadRequest, Unauthenticated
from api.core.settings import Settings
from api.core.text import CONTENT_MOST
from api.http import cookies, external_ids, fields
from api.operations.monitoring import Monitor
from api.reads.read_after import Reads
from api.reads.slots import ReadSlot, ReadSlots
from api.writes.accept import Accept
from api.writes.external_ids import ExternalIds

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one process, built at its start."""

    settings: Settings
    accept: Accept
    database: AsyncDatabase
    reads: Reads
    read_slots: ReadSlots
    export_slots: ReadSlots
    chat: Chat
    streamed_chat: StreamedChat
    password_process: PasswordProcess
    credentials: Credentials
    throttle: Throttle
    tokens: Tokens
    sessions: Sessions
    identity_provider: IdentityProvider | None
    external_ids: ExternalIds
    deletion: AccountDeletion
    monitor: Monitor


@dataclass(frozen=True, slots=True)
class Read:
    """What every read of chat data needs: the services, the user's id, the user's read slot."""

    app: Services
    owner: int
    slot: ReadSlot


@dataclass(frozen=True, slots=True)
class Write:
    """What every write needs: the services, the user, the idempotency key."""

    app: Services
    caller: Caller
    #: The idempotency key, if one was sent.
    key: str | None


async def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


class _SignedIn(HTTPBearer):
    """Finds the user of the access token or cookie: one dependency instead of three."""

    async def __call__(self, request: HTTPConnection) -> Caller:  # type: ignore[override]
        services: Services = request.app.state.services
        # With an Authorization header the cookie is ignored.
        sent = request.headers.getlist("Authorization")
        if not sent and (session := cookies.session_of(request)):
            caller, renewed = await services.sessions.authenticate_cookie(session)
            if renewed:
                cookies.renew_session(request, renewed, services.sessions.idle_seconds)
            return caller
        token = _token_of(sent)
        if services.identity_provider and services.identity_provider.may_have_issued(token):
            return await services.identity_provider.caller(token)
        return services.sessions.authenticate(token)


def _token_of(sent: list[str]) -> str:
    """Return the token of the header, which must come once. Raises Unauthenticated."""
    scheme, token = get_authorization_scheme_param(sent[0] if len(sent) == 1 else None)
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("send the access token as Authorization: Bearer …")
    return token


class _Owner(_SignedIn):
    """The id of that user, for requests that read."""

    async def __call__(self, request: HTTPConnection) -> int:  # type: ignore[override]
        return (await super().__call__(request)).user_id


class _Reading(_SignedIn):
    """Finds the user of a read of chat data. The middleware gives the slot back at its end."""

    async def __call__(self, request: HTTPConnection) -> Read:  # type: ignore[override]
        caller = await super().__call__(request)
        services: Services = request.app.state.services
        slot = request.state.read_slot = services.read_slots.slot(caller.user_id)
        if external_id := _external_id_of(request):
            after = [fields.entry_id(sent) for sent in request.query_params.getlist("read_after")]
            found = await services.external_ids.for_read(caller.user_id, external_id, after, slot)
            request.path_params["conversation_id"] = str(found)
        return Read(services, caller.user_id, slot)


class _Writing(_SignedIn):
    """Finds the user and the idempotency key of a write, in one dependency.

    FastAPI takes 25 to 30 µs for each dependency and each header parameter, so the key is read
    here and documented by `KEYED`.
    """

    async def __call__(self, request: HTTPConnection) -> Write:  # type: ignore[override]
        caller = await super().__call__(request)
        services: Services = request.app.state.services
        key = _key_of(request)
        if external_id := _external_id_of(request):
            found = await services.external_ids.for_write(caller.user_id, external_id)
            request.path_params["conversation_id"] = str(found)
        return Write(services, caller, key)


def _external_id_of(request: HTTPConnection) -> str | None:
    """Return the external id that stands for a conversation's id in the path, if one does.

    Who depends on the caller puts the id in its place, so that routes know ids only. (FastAPI
    reads a path's parameters after all dependencies.)
    """
    segment = request.path_params.get("conversation_id")
    return external_ids.named_by(segment) if segment else None


def _key_of(request: HTTPConnection) -> str | None:
    sent = request.headers.getlist("Idempotency-Key")
    if not sent:
        return None
    if len(sent) > 1 or not _KEY.fullmatch(sent[0]):
        raise BadRequest("Idempotency-Key takes one value of 1 to 255 printable ASCII characters")
    return sent[0]


async def _address(request: Request) -> str:
    """Return the client's address: the connection's, or what one of TRUSTED_PROXIES told."""
    return request.client.host if request.client else ""


async def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")


async def _last_event_id(
    known: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="The id of the last event that was seen; the rest follows.",
            examples=["42"],
        ),
    ] = None,
) -> int | None:
    if not known:
        return None
    if not known.isdecimal() or len(known) > len(str(CONTENT_MOST)):
        raise BadRequest("Last-Event-ID is not one that was sent")
    return int(known)


App = Annotated[Services, Depends(_services)]
_TOKEN: Final[dict[str, str]] = {
    "scheme_name": "token",
    "bearerFormat": "JWT",
    "description": "The `access_token` that `POST /auth/login` answered.",
}
#: The signed-in user, and the session that the request came in.
SignedIn = Annotated[Caller, Depends(_SignedIn(**_TOKEN))]
#: The signed-in user's id.
Owner = Annotated[int, Depends(_Owner(**_TOKEN))]
#: What a read of chat data comes with: user and read slot.
Reading = Annotated[Read, Depends(_Reading(**_TOKEN))]
#: What a write comes with: caller and idempotency key. The route says `openapi_extra=KEYED`.
Writing = Annotated[Write, Depends(_Writing(**_TOKEN))]
KEYED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string"},
            "description": "Up to 255 printable ASCII characters. Repeating a request with the "
            "same key and body gives the same answer and has one effect; another body gives 409.",
            "example": "8f14e45f-ceea-467f-a8f1-1f2d3c4b5a69",
        }
    ]
}
#: The address of the client.
Address = Annotated[str, Depends(_address)]
#: The client asked for server-sent events.
WantsStream = Annotated[bool, Depends(_wants_stream)]
#: Code points of an answer that a reconnecting client knows already.
#: Code points of an answer that the client says it has; None where it says nothing.
LastEventId = Annotated[int | None, Depends(_last_event_id)]
