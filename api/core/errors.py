"""Every error that a caller may meet, one class per cause.

`api.http.problems` answers a `Problem` as `application/problem+json` (RFC 9457), with its `status`,
`title` and `detail`; its docstring is the description in the OpenAPI document. No detail ever
quotes what a client sent.
"""

from typing import ClassVar


class VerbatimError(Exception):
    """Base class of Verbatim's exceptions."""


class SettingsError(VerbatimError):
    """A setting is missing or invalid; the process must not start."""


class WrongDatabaseError(VerbatimError):
    """The log in this Redis belongs to another database."""


class DatabaseWentBackError(WrongDatabaseError):
    """PostgreSQL lacks entries that it had, and the log does not have all of them any more."""


class OldPostgresError(WrongDatabaseError):
    """The database is on a PostgreSQL that is older than any Verbatim is tested with."""


class UnsafeRedisError(VerbatimError):
    """The configuration of this Redis allows it to lose writes it has acknowledged."""


class UnsuitableBrokerError(VerbatimError):
    """Celery's broker refuses this user, or nothing here can speak to it."""


class OldLogError(UnsafeRedisError):
    """The log's keys have the names that an older version gave them, and it is not empty."""


class UnsuitableRedisError(UnsafeRedisError):
    """This Redis is of a kind that cannot do what it is set for: a cluster, a sentinel."""


class UnsafeRoleError(VerbatimError):
    """Row-level security does not restrict this PostgreSQL role to its rows."""


class Problem(VerbatimError):  # noqa: N818 - the RFC's word
    """A request that could not be served.

    `detail` says why, in a sentence for the client.
    """

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
    """The request has no valid token or session."""

    status, title = 401, "Not signed in"


class Forbidden(Problem):
    """A page of another site sent the session cookie, or the API key may not do this."""

    status, title = 403, "Forbidden"


class NotFound(Problem):
    """The resource does not exist, or belongs to another user: the answer is the same."""

    status, title = 404, "Not found"


class Conflict(Problem):
    """The request conflicts with the present state."""

    status, title = 409, "Conflict"


class Gone(Problem):
    """The write that `read_after` names was lost, with power or a failover; it will not come."""

    status, title = 410, "Lost"


class ExternalIdTaken(Conflict):
    """Another message of the conversation has the external id."""


class Appended(Conflict):
    """Another message is the conversation's last one than the one that the request names."""


class TooLarge(Problem):
    """The body of the request is too large."""

    status, title = 413, "Too large"


class NotAllowed(Problem):
    """The request can be parsed, but has a value that is not allowed."""

    status, title = 422, "Not allowed"


class TooMany(Problem):
    """This user or client has reached a limit."""

    status, title = 429, "Too many requests"


class BadGateway(Problem):
    """The assistant's model answered with an error."""

    status, title = 502, "The model failed"


class Unavailable(Problem):
    """The server cannot serve the request now; the client should retry it."""

    status, title = 503, "Unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)


class ReadOnlyLog(Unavailable):
    """The log's Redis takes no writes, as a replica does; nothing was done."""


class TooFewReplicas(Unavailable):
    """Fewer replicas than REDIS_REPLICAS have what was written; they may get it yet."""


class GatewayTimeout(Problem):
    """The assistant's model did not answer in time."""

    status, title = 504, "The model timed out"
