"""What routes depend on: the only file with `Depends`."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from api.core.caller import SCOPES, Caller, Scope
from api.core.errors import BadRequest, Forbidden, Unauthenticated
from api.core.ids import MAX_ID
from api.core.text import CONTENT_MOST
from api.http import external_ids, fields, parameters
from api.http.callers import caller_of
from api.http.devices import device_of
from api.http.sent_headers import sent
from api.http.services import Services
from api.reads.slots import ReadSlot

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
_DIGITS: Final = re.compile(r"[0-9]{1,16}")


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
    #: The message that must be the conversation's last one, 0 for none; None if it may be any.
    if_last: int | None = None


async def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


class _SignedIn(HTTPBearer):
    """Finds the caller: one dependency instead of three. An API key needs one of these scopes.

    Without any, no key may do it.
    """

    def __init__(self, *scopes: Scope) -> None:
        super().__init__(
            scheme_name="token",
            bearerFormat="JWT",
            description="The `access_token` that `POST /auth/login` answered, or an API key.",
        )
        self._scopes = frozenset(scopes)

    async def __call__(self, request: HTTPConnection) -> Caller:  # type: ignore[override]
        caller = await caller_of(request)
        if caller.scopes is not None and caller.scopes.isdisjoint(self._scopes):
            raise Forbidden(self._refusal)
        return caller

    @property
    def _refusal(self) -> str:
        if not self._scopes:
            return "no API key may do this: sign in"
        return f"this API key lacks the scope that this takes: {' or '.join(sorted(self._scopes))}"


class _Reading(_SignedIn):
    """Finds the user of a read of chat data. The middleware gives the slot back at its end."""

    async def __call__(self, request: HTTPConnection) -> Read:  # type: ignore[override]
        caller = await super().__call__(request)
        services: Services = request.app.state.services
        slot = request.state.read_slot = services.read_slots.slot(caller.user_id)
        if external_id := _external_id_of(request):
            after = [
                parameters.entry_id(known) for known in request.query_params.getlist("read_after")
            ]
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
        return Write(services, caller, key, _if_last_of(request))


def _external_id_of(request: HTTPConnection) -> str | None:
    """Return the external id that stands for a conversation's id in the path, if one does.

    Who depends on the caller puts the id in its place, so that routes know ids only. (FastAPI
    reads a path's parameters after all dependencies.)
    """
    segment = request.path_params.get("conversation_id")
    return external_ids.named_by(segment) if segment else None


def _key_of(request: HTTPConnection) -> str | None:
    keys = sent(request.scope, b"idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise BadRequest("Idempotency-Key takes one value of 1 to 255 printable ASCII characters")
    return keys[0]


def _if_last_of(request: HTTPConnection) -> int | None:
    ids = sent(request.scope, b"if-last")
    if not ids:
        return None
    if len(ids) > 1 or not _DIGITS.fullmatch(ids[0]) or int(ids[0]) > MAX_ID:
        raise BadRequest("If-Last takes one message's id, or 0")
    return int(ids[0])


async def _signed_in_or_not(request: Request) -> int | None:
    """Return the user of a request that anybody may send; None for nobody, or a bad token.

    A key that may not read is nobody, too.
    """
    try:
        caller = await caller_of(request)
    except Unauthenticated:
        return None
    return caller.user_id if caller.scopes is None or "read" in caller.scopes else None


async def _address(request: Request) -> str:
    """Return the client's address: the connection's, or what one of TRUSTED_PROXIES told."""
    return request.client.host if request.client else ""


async def _device(request: Request) -> str | None:
    return device_of(request.headers.get("User-Agent", ""))


async def _wants_stream(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("Accept", "")


async def _last_event_id(request: Request) -> int | None:
    known = request.headers.get("Last-Event-ID")
    if not known:
        return None
    if not known.isdecimal() or len(known) > len(str(CONTENT_MOST)):
        raise BadRequest("Last-Event-ID is not one that was sent")
    return int(known)


App = Annotated[Services, Depends(_services)]
#: Who signed in, and the session that the request came in; no API key.
SignedIn = Annotated[Caller, Depends(_SignedIn())]
#: The caller, whatever an API key is for.
Anybody = Annotated[Caller, Depends(_SignedIn(*SCOPES))]
#: The caller of what reads, changes, or talks to the assistant without a queued write.
Reader = Annotated[Caller, Depends(_SignedIn("read"))]
Writer = Annotated[Caller, Depends(_SignedIn("write"))]
Chatter = Annotated[Caller, Depends(_SignedIn("chat"))]
#: The caller of what a message of either kind may need.
Uploader = Annotated[Caller, Depends(_SignedIn("write", "chat"))]
#: The user's id of what everybody may ask, None for somebody who is not signed in.
SignedInOrNot = Annotated[int | None, Depends(_signed_in_or_not)]
#: What a read of chat data comes with: user and read slot.
Reading = Annotated[Read, Depends(_Reading("read"))]
#: What a write comes with: caller and idempotency key. The route says `openapi_extra=KEYED`.
Writing = Annotated[Write, Depends(_Writing("write"))]
#: The same, where it is part of a chat with the assistant.
Chatting = Annotated[Write, Depends(_Writing("chat"))]
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
#: Likewise, where a write may be for what the client has seen only.
KEYED_IF_LAST: Final[dict[str, Any]] = {
    "parameters": [
        *KEYED["parameters"],
        {
            "name": "If-Last",
            "in": "header",
            "schema": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
            "description": "The id of the message that must be the conversation's last one, 0 if "
            "it must have none. If another one is, the answer is 409, and nothing was written.",
            "example": fields.EXAMPLE_ID,
        },
    ]
}
RESUMED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "schema": {"type": "string"},
            "description": "The id of the last event that was seen; the rest follows.",
            "example": "42",
        }
    ]
}
KEYED_RESUMED: Final[dict[str, Any]] = {
    "parameters": [*KEYED["parameters"], *RESUMED["parameters"]]
}
#: The address of the client.
Address = Annotated[str, Depends(_address)]
#: What the client is, in a few words, as far as it says so.
Device = Annotated[str | None, Depends(_device)]
#: The client asked for server-sent events.
WantsStream = Annotated[bool, Depends(_wants_stream)]
#: Code points of an answer that the client says it has; None where it says nothing. The route says
#: `openapi_extra=RESUMED`, or KEYED_RESUMED.
LastEventId = Annotated[int | None, Depends(_last_event_id)]
