"""Types of single values in requests and answers: what each may be, and its documented example.

An id or a session id that cannot exist raises its own Problem; Pydantic collects all other errors
into one 422.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from email_validator import EmailNotValidError, validate_email
from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictInt,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from api.accounts.key_store import NAME_MOST, owner_of
from api.core.conversation_fields import DAYS_MOST
from api.core.errors import BadRequest, NotFound
from api.core.ids import MAX_ID, is_id
from api.core.text import CONTENT_MOST, EXTERNAL_ID_MOST, TAG_MOST, TITLE_MOST, is_storable
from api.core.times import iso
from api.http import external_ids
from api.http.json_objects import not_too_deep

PASSWORD_LEAST_BYTES: Final = 8
PASSWORD_MOST_BYTES: Final = 1024
EMAIL_MOST: Final = 254
TAGS_MOST: Final = 32

EXAMPLE_ID: Final = 244_102_400_131_075
EXAMPLE_SESSION: Final = f"sess_{EXAMPLE_ID:x}"
EXAMPLE_KEY: Final = f"{EXAMPLE_ID:014x}5d0c9a7e21"
EXAMPLE_TIME: Final = "2026-11-23T09:30:00.123000Z"

_SESSION_PREFIX: Final = "sess_"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HEX: Final = re.compile(r"[0-9a-f]{1,14}")
_DIGITS: Final = re.compile(r"[0-9]{1,16}")


def _storable(text: str) -> str:
    if not is_storable(text):
        raise PydanticCustomError("text", "NUL and halves of surrogate pairs cannot be stored")
    return text


def _storable_if_any(text: str | None) -> str | None:
    return None if text is None else _storable(text)


def _distinct(tags: list[str]) -> list[str]:
    if len(set(tags)) < len(tags):
        raise PydanticCustomError("tags", "Each tag comes once")
    return tags


def _past(at: datetime) -> datetime:
    if not _EPOCH <= at <= datetime.now(UTC):
        raise PydanticCustomError("time", "A time from 1970 until now")
    # The log knows milliseconds.
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _email(address: str) -> str:
    try:
        return validate_email(address, check_deliverability=False).normalized
    except EmailNotValidError:
        # Its own message would quote the address.
        raise PydanticCustomError("email", "This is no email address") from None


def _password(password: str) -> str:
    # A lone surrogate has no UTF-8, hence no hash.
    size = len(password.encode(errors="surrogatepass"))
    if not PASSWORD_LEAST_BYTES <= size <= PASSWORD_MOST_BYTES:
        raise PydanticCustomError("password", "A password has 8 to 1024 bytes")
    return _storable(password)


Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[EXAMPLE_ID])]
Content = Annotated[
    str,
    Field(min_length=1, max_length=CONTENT_MOST, examples=["Buy milk tomorrow"]),
    AfterValidator(_storable),
]
Title = Annotated[
    str,
    Field(min_length=1, max_length=TITLE_MOST, examples=["Groceries"]),
    AfterValidator(_storable),
]
ExternalId = Annotated[
    str,
    Field(min_length=1, max_length=EXTERNAL_ID_MOST, examples=["thread-42"]),
    AfterValidator(_storable),
]
Tag = Annotated[
    str,
    Field(min_length=1, max_length=TAG_MOST, examples=["work"]),
    AfterValidator(_storable),
]
Tags = Annotated[
    list[Tag],
    Field(max_length=TAGS_MOST, json_schema_extra={"uniqueItems": True}, examples=[["work"]]),
    AfterValidator(_distinct),
]
Metadata = Annotated[
    dict[str, Any],
    AfterValidator(not_too_deep),
    Field(
        description="Any JSON object, of 16 KiB as it is written: it comes back as that text.",
        examples=[{"source": "app"}],
    ),
]
Days = Annotated[
    StrictInt,
    Field(
        ge=1,
        le=DAYS_MOST,
        description="It is deleted this number of days after its last activity, or after "
        "RETENTION_DAYS where those are fewer.",
        examples=[30],
    ),
]
#: The time of a conversation that is imported.
PastTime = Annotated[AwareDatetime, AfterValidator(_past), Field(examples=[EXAMPLE_TIME])]
Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{3,64}$", examples=["ada"])]
Email = Annotated[
    str,
    Field(
        max_length=EMAIL_MOST, json_schema_extra={"format": "email"}, examples=["ada@example.com"]
    ),
    AfterValidator(_email),
]
Password = Annotated[
    str,
    Field(
        json_schema_extra={"format": "password"},
        description="8 to 1024 bytes of UTF-8.",
        examples=["correct horse battery staple"],
    ),
    AfterValidator(_password),
]
Time = Annotated[
    AwareDatetime,
    PlainSerializer(iso),
    WithJsonSchema({"type": "string", "format": "date-time"}),
    Field(examples=[EXAMPLE_TIME]),
]
Role = Literal["user", "assistant", "system", "tool"]
#: Empty where a message says nothing in plain text.
AnyContent = Annotated[
    str, Field(max_length=CONTENT_MOST, examples=["Buy milk tomorrow"]), AfterValidator(_storable)
]
Extra = Annotated[
    dict[str, Any],
    Field(
        examples=[{"format": "openai.responses", "item": {"type": "reasoning"}}],
        description="Any JSON object, of 256 KiB as it is written: it comes back as that text.",
    ),
    AfterValidator(not_too_deep),
]
#: Not validated as at registration: a malformed name or password is merely a wrong one.
SignInText = Annotated[
    str,
    Field(max_length=PASSWORD_MOST_BYTES, description="As it was registered."),
    AfterValidator(_storable),
]


def session_id(conversation_id: int) -> str:
    """Return the session id of a conversation, as the chat calls use it."""
    return f"{_SESSION_PREFIX}{conversation_id:x}"


def _conversation_of_session(text: str) -> int:
    digits = text.removeprefix(_SESSION_PREFIX)
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


KeyName = Annotated[
    str,
    Field(min_length=1, max_length=NAME_MOST, examples=["nightly import"]),
    AfterValidator(_storable),
]
KeyId = Annotated[
    str,
    BeforeValidator(_key),
    Path(description="An API key's id.", examples=[EXAMPLE_KEY]),
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
    AfterValidator(_storable),
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
Archived = Annotated[
    Literal["true", "false", "any"], Query(description="Only archived ones, or only others.")
]
Pinned = Annotated[
    Literal["true", "false", "any"], Query(description="Only pinned ones, or only others.")
]
PositionIfAny = Annotated[
    int | None, Query(ge=0, le=MAX_ID, description="A message's `position`, itself left out.")
]
