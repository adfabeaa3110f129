"""Bodies of accounts, sign-in and API keys."""

from typing import Annotated, Literal, Self

from pydantic import Field

from api.core.caller import SCOPES, Scope
from api.core.models import accounts as models
from api.http.fields import (
    EXAMPLE_KEY,
    EXAMPLE_SIGN_IN,
    Days,
    Email,
    KeyName,
    Password,
    SignInText,
    Time,
    Username,
)
from api.http.schemas.base import In, Out


class Registration(In):
    """A new account."""

    username: Username
    email: Email
    password: Password


class Login(In):
    """A sign-in."""

    username: SignInText
    password: SignInText


class Token(Out):
    """An access token, and the refresh token that gets the next one."""

    access_token: str = Field(examples=["eyJhbGciOiJIUzI1NiIs…"])
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the RFC's word, no secret
    expires_in: int = Field(examples=[900], description="Seconds.")
    refresh_token: str = Field(
        examples=["1.kP0…"],
        description="Gets the next pair from `POST /auth/refresh`. Valid once: reuse revokes the "
        "session.",
    )


class Renewal(In):
    """A session to be renewed."""

    refresh_token: SignInText


class Farewell(In):
    """An account to be deleted."""

    password: SignInText = Field(
        default="", description="Needed where the account has one: all but identity providers'."
    )


class NewPassword(In):
    """A password to be replaced."""

    current_password: SignInText
    new_password: Password


class User(Out):
    """An account."""

    id: int = Field(examples=[1])
    username: str = Field(examples=["ada"])
    email: str = Field(examples=["ada@example.com"])
    created_at: Time
    expires_in_days: int | None = Field(
        default=None,
        examples=[None],
        description="Conversations are deleted this number of days after their last activity.",
    )
    retention_days: int | None = Field(
        default=None, examples=[None], description="The server's RETENTION_DAYS, if it has any."
    )

    @classmethod
    def of(cls, row: models.User, retention_days: int) -> Self:
        """Return what is shown of a row, on a server with these RETENTION_DAYS."""
        shown = cls.model_validate(row)
        return shown.model_copy(update={"retention_days": retention_days or None})


class AccountChange(In):
    """What is to change of an account."""

    expires_in_days: Days | None


class NewName(In):
    """A username to be replaced."""

    username: Username
    password: SignInText


class SignInSession(Out):
    """A sign-in session of one's own account."""

    id: str = Field(examples=[EXAMPLE_SIGN_IN])
    created_at: Time
    renewed_at: Time = Field(
        description="An access token's lifetime before its last request, at the most."
    )
    browser: bool = Field(description="It is a browser's cookie.")
    device: str | None = Field(
        examples=["Firefox on Linux"], description="Where it was made, as far as that is known."
    )
    current: bool = Field(description="This request came in it.")


class SignInSessions(Out):
    """The sign-in sessions of an account."""

    sessions: list[SignInSession]


class NewKey(In):
    """An API key to be made."""

    name: KeyName
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))] = Field(
        default=list(SCOPES),
        description="`read` conversations, `write` them, `chat` with the assistant.",
    )
    acts_for: models.ActsFor = Field(
        default="self",
        description="`self`: this account. `subjects`: people whom each request names.",
    )


class Key(Out):
    """An API key, without its secret."""

    id: str = Field(examples=[EXAMPLE_KEY])
    name: str = Field(examples=["nightly import"])
    scopes: list[Scope]
    acts_for: models.ActsFor
    created_at: Time


class CreatedKey(Key):
    """An API key that was just made."""

    key: str = Field(
        examples=[f"vbk_{EXAMPLE_KEY}_9f86d08…"], description="Shown this once; keep it secret."
    )


class Keys(Out):
    """The API keys of an account."""

    keys: list[Key]
