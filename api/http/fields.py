"""Types of single values in bodies: what each may be, and its documented example."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    PlainSerializer,
    StrictInt,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from api.accounts.key_store import NAME_MOST
from api.core.assets import NAME_MOST as FILE_NAME_MOST
from api.core.conversation_fields import DAYS_MOST
from api.core.ids import MAX_ID
from api.core.text import CONTENT_MOST, EXTERNAL_ID_MOST, TAG_MOST, TITLE_MOST, is_storable
from api.core.times import iso
from api.http.json_objects import not_too_deep

PASSWORD_LEAST_BYTES: Final = 8
PASSWORD_MOST_BYTES: Final = 1024
EMAIL_MOST: Final = 254
TAGS_MOST: Final = 32

EXAMPLE_ID: Final = 244_102_400_131_075
EXAMPLE_SESSION: Final = f"sess_{EXAMPLE_ID:x}"
EXAMPLE_KEY: Final = f"{EXAMPLE_ID:014x}5d0c9a7e21"
EXAMPLE_ASSET: Final = "asset_AZq0c2hbQk5n0m8uV2xKQ3p1d0lYc2ZoZ3JtT0pqUWx"
EXAMPLE_LINK: Final = "5d0c9a7e215d0c9a7e215d0c"
EXAMPLE_SECRET: Final = "mGb3Yk0tqJt4C1u7o5wQe9sXvZr2LdHf8aNiPyBxKcE"  # noqa: S105 - of no link
EXAMPLE_SIGN_IN: Final = "pJ3l0cV0Q2mJm6rF6i2u9A"
EXAMPLE_TIME: Final = "2026-11-23T09:30:00.123000Z"

SESSION_PREFIX: Final = "sess_"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def storable(text: str) -> str:
    """Return a text. Raises PydanticCustomError for one that cannot be stored."""
    if not is_storable(text):
        raise PydanticCustomError("text", "NUL and halves of surrogate pairs cannot be stored")
    return text


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
    return storable(password)


Id = Annotated[int, Field(ge=1, le=MAX_ID, examples=[EXAMPLE_ID])]
Content = Annotated[
    str,
    Field(min_length=1, max_length=CONTENT_MOST, examples=["Buy milk tomorrow"]),
    AfterValidator(storable),
]
Title = Annotated[
    str,
    Field(min_length=1, max_length=TITLE_MOST, examples=["Groceries"]),
    AfterValidator(storable),
]
FileName = Annotated[
    str,
    Field(min_length=1, max_length=FILE_NAME_MOST, examples=["cat.png"]),
    AfterValidator(storable),
]
ExternalId = Annotated[
    str,
    Field(min_length=1, max_length=EXTERNAL_ID_MOST, examples=["thread-42"]),
    AfterValidator(storable),
]
Tag = Annotated[
    str,
    Field(min_length=1, max_length=TAG_MOST, examples=["work"]),
    AfterValidator(storable),
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
    str, Field(max_length=CONTENT_MOST, examples=["Buy milk tomorrow"]), AfterValidator(storable)
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
    AfterValidator(storable),
]
KeyName = Annotated[
    str,
    Field(min_length=1, max_length=NAME_MOST, examples=["nightly import"]),
    AfterValidator(storable),
]


def session_id(conversation_id: int) -> str:
    """Return the session id of a conversation, as the chat calls use it."""
    return f"{SESSION_PREFIX}{conversation_id:x}"
