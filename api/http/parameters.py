"""Types of what paths and queries name.

An id or a session id that cannot exist raises its own Problem; Pydantic collects all other errors
into one 422.
"""

import re
from typing import Annotated, Final, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator

from api.accounts.key_store import owner_of
from api.core import assets
from api.core.errors import BadRequest, NotFound
from api.core.ids import MAX_ID, is_id
from api.core.text import EXTERNAL_ID_MOST, TAG_MOST, TITLE_MOST
from api.http import external_ids
from api.http.fields import (
    EXAMPLE_ASSET,
    EXAMPLE_ID,
    EXAMPLE_KEY,
    EXAMPLE_LINK,
    EXAMPLE_SECRET,
    EXAMPLE_SESSION,
    EXAMPLE_SIGN_IN,
    SESSION_PREFIX,
    FileName,
    Role,
    session_id,
    storable,
)

_HEX: Final = re.compile(r"[0-9a-f]{1,14}")
_DIGITS: Final = re.compile(r"[0-9]{1,16}")
_LINK: Final = re.compile(r"[0-9a-f]{24}")
_LINK_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_SIGN_IN: Final = re.compile(r"[\w-]{1,64}", re.ASCII)


def _storable_if_any(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _conversation_of_session(text: str) -> int:
    digits = text.removeprefix(SESSION_PREFIX)
    conversation_id = int(digits, 16) if _HEX.fullmatch(digits) else 0
    # One conversation has one name: no capitals, no leading zeros.
    if not is_id(conversation_id) or session_id(conversation_id) != text:
        raise BadRequest("this is no session id")
    return conversation_id


def _id(text: str) -> int | None:
    return int(text) if _DIGITS.fullmatch(text) and is_id(int(text)) else None


def _conversation_of_path(text: str) -> int:
    conversation_id = _id(text)
    if conversation_id is None:
        raise NotFound("there is no such conversation")
    return conversation_id


def _key(text: str) -> str:
    owner_of(text)
    return text


def _link(text: str) -> str:
    if not _LINK.fullmatch(text):
        raise NotFound("there is no such shared link")
    return text


def _link_secret(text: str) -> str:
    if not _LINK_SECRET.fullmatch(text):
        raise NotFound("this link shows nothing, or nothing to whoever is not signed in")
    return text


def _asset(text: str) -> str:
    if not assets.is_id(text):
        raise NotFound("there is no such asset")
    return text


def _sign_in(text: str) -> str:
    if not _SIGN_IN.fullmatch(text):
        raise NotFound("there is no such session")
    return text


def _message_of_path(text: str) -> int | str:
    """Return an id, or `ext:` and an external id."""
    external_id = external_ids.named_by(text)
    if external_id is not None:
        return f"{external_ids.PREFIX}{external_id}"
    message_id = _id(text)
    if message_id is None:
        raise NotFound("there is no such message")
    return message_id


def _branch_of_path(text: str) -> int:
    branch_id = _id(text)
    if branch_id is None:
        raise NotFound("there is no such branch")
    return branch_id


def entry_id(text: str) -> int:
    """Return the id that a `read_after` names. Raises BadRequest."""
    entry = _id(text)
    if entry is None:
        raise BadRequest("read_after must be an id that a write answered")
    return entry


KeyId = Annotated[
    str,
    BeforeValidator(_key),
    Path(description="An API key's id.", examples=[EXAMPLE_KEY]),
]
SharedLinkId = Annotated[
    str,
    BeforeValidator(_link),
    Path(description="A shared link's id.", examples=[EXAMPLE_LINK]),
]
LinkSecret = Annotated[
    str,
    BeforeValidator(_link_secret),
    Path(description="The last part of a shared link's path.", examples=[EXAMPLE_SECRET]),
]
AssetId = Annotated[
    str,
    BeforeValidator(_asset),
    Path(description="An asset's id.", examples=[EXAMPLE_ASSET]),
]
AssetIdIfAny = Annotated[
    str | None,
    Query(description="An asset's id: those uploaded before it.", examples=[EXAMPLE_ASSET]),
    AfterValidator(lambda text: text and _asset(text)),
]
NameOfFile = Annotated[FileName, Query(description="The file's name, for people.")]
SignInId = Annotated[
    str,
    BeforeValidator(_sign_in),
    Path(description="A sign-in session's id.", examples=[EXAMPLE_SIGN_IN]),
]
ConversationId = Annotated[
    int,
    BeforeValidator(_conversation_of_path),
    Path(
        description="A conversation's id, or `ext:` and its external id, percent-encoded.",
        json_schema_extra={"minimum": 1, "maximum": MAX_ID},
        examples=[EXAMPLE_ID],
    ),
]
MessageId = Annotated[
    int | str,
    BeforeValidator(_message_of_path, json_schema_input_type=str),
    Path(
        description="A message's id, or `ext:` and its external id, percent-encoded.",
        examples=[EXAMPLE_ID],
    ),
]
BranchId = Annotated[
    int,
    BeforeValidator(_branch_of_path),
    Path(
        description="A branch's id: the entry that put it aside.",
        json_schema_extra={"minimum": 1, "maximum": MAX_ID},
        examples=[EXAMPLE_ID],
    ),
]
#: The conversation of a session id.
SessionId = Annotated[
    int,
    BeforeValidator(_conversation_of_session, json_schema_input_type=str),
    Path(
        description="What `POST /api/chat/start` answered.",
        examples=[EXAMPLE_SESSION],
    ),
]
ReadAfter = Annotated[
    list[Annotated[int, BeforeValidator(entry_id)]],
    Query(
        description="An id that a write answered: the answer includes everything accepted up to "
        "it. May be repeated, one per partition. Waits at most 2 s, then answers 503, or 410 if it "
        "was lost.",
    ),
]
_LIMIT: Final = Query(ge=1, le=100, description="Most rows of this page.")
_OFFSET: Final = Query(ge=0, le=MAX_ID, description="Rows to leave out.")
Limit = Annotated[int, _LIMIT]
LimitIfAny = Annotated[int | None, _LIMIT]
Offset = Annotated[int, _OFFSET]
OffsetIfAny = Annotated[int | None, _OFFSET]
Search = Annotated[
    str,
    Query(max_length=TITLE_MOST, description="Only titles that contain this, in any case."),
    AfterValidator(storable),
]
SearchWords = Annotated[
    str,
    Query(
        min_length=1,
        max_length=TITLE_MOST,
        description="What to search for.",
        examples=['milk "tomorrow morning" -oat'],
    ),
    AfterValidator(storable),
]
RoleIfAny = Annotated[Role | None, Query(description="Only messages of this role, no titles.")]
ConversationIdIfAny = Annotated[
    int | None, Query(ge=1, le=MAX_ID, description="Only this conversation.")
]
ExternalIdIfAny = Annotated[
    str | None,
    Query(min_length=1, max_length=EXTERNAL_ID_MOST, description="Only the one with this id."),
    AfterValidator(_storable_if_any),
]
TagIfAny = Annotated[
    str | None,
    Query(min_length=1, max_length=TAG_MOST, description="Only those with this tag."),
    AfterValidator(_storable_if_any),
]
#: What a choice of `true`, `false` and `any` means for a filter.
CHOICES: Final = {"true": True, "false": False, "any": None}
Archived = Annotated[
    Literal["true", "false", "any"], Query(description="Only archived ones, or only others.")
]
Pinned = Annotated[
    Literal["true", "false", "any"], Query(description="Only pinned ones, or only others.")
]
PositionIfAny = Annotated[
    int | None, Query(ge=0, le=MAX_ID, description="A message's `position`, itself left out.")
]
