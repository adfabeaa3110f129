"""Every error that a caller may meet, one class per cause.

`api.http.problems` answers a `Problem` as `application/problem+json` (RFC 9457), with its `status`,
`title` and `detail`; its docstring is the description in the OpenAPI document. No detail ever
quotes what a client sent.
"""

from typing import ClassVar


class VerbatimError(Exception):
    """Something went wrong inside Verbatim."""


class SettingsError(VerbatimError):
    """A setting is missing or makes no sense; the process must not start."""


class WrongDatabaseError(VerbatimError):
    """The log on this Redis belongs to another database."""


class UnsafeRedisError(VerbatimError):
    """This Redis is not configured to keep what it accepts."""


class UnsafeRoleError(VerbatimError):
    """This role of PostgreSQL is not held to the rows it is for."""


class Problem(VerbatimError):  # noqa: N818 - the RFC's own word
    """The request could not be served."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class BadRequest(Problem):
    """The request cannot be parsed."""

    status, title = 400, "Bad request"


class Unauthenticated(Problem):
    """No valid token came with the request."""

    status, title = 401, "Not signed in"


class Forbidden(Problem):
    """A page of another site sent the browser's session cookie."""

    status, title = 403, "Forbidden"


class NotFound(Problem):
    """It does not exist, or belongs to another user: the answer is the same."""

    status, title = 404, "Not found"


class Conflict(Problem):
    """The request contradicts what is already there."""

    status, title = 409, "Conflict"


class TooLarge(Problem):
    """The body is larger than a request may be."""

    status, title = 413, "Too large"


class NotAllowed(Problem):
    """The request parses, but says something that is not allowed."""

    status, title = 422, "Not allowed"


class TooMany(Problem):
    """This user has reached a limit of their own."""

    status, title = 429, "Too many requests"


class BadGateway(Problem):
    """The assistant's model answered with an error."""

    status, title = 502, "The model failed"


class Unavailable(Problem):
    """The server cannot take this now; trying again later is right."""

    status, title = 503, "Unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class GatewayTimeout(Problem):
    """The assistant's model did not answer in time."""

    status, title = 504, "The model timed out"
