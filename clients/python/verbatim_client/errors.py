"""What can go wrong, one class per cause. Each is a `VerbatimError`."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any


class VerbatimError(Exception):
    """Base class of all errors of this package.

    Where a write failed, `idempotency_key` is the one it was sent with. Whether the write was
    accepted may be unknown: repeat it with this key, within the hour, and it happens once.
    """

    idempotency_key: str | None = None
    retry_after_seconds: float | None = None


class NoAnswer(VerbatimError):  # noqa: N818 - it says what happened
    """No answer came: there was no connection, it was lost, or it took too long.

    `sent` is false where the request surely did not reach the server.
    """

    def __init__(self, detail: str, *, sent: bool = True) -> None:
        super().__init__(detail)
        self.sent = sent


class Problem(VerbatimError):  # noqa: N818 - the word of RFC 9457
    """The server refused the request; the fields are those of its problem document.

    `errors` has one `{where, field, message}` for each field that is not allowed. `of_server` is
    false where something else answered, such as a proxy.
    """

    def __init__(self, status: int, document: Mapping[str, Any], *, of_server: bool = True) -> None:
        self.status = status
        self.type = str(document.get("type", "about:blank"))
        self.title = str(document.get("title", ""))
        self.detail = str(document.get("detail", ""))
        self.errors: list[dict[str, Any]] = document.get("errors") or []
        self.of_server = of_server
        super().__init__(": ".join(filter(None, (f"{status} {self.title}".strip(), self.detail))))


class BadRequest(Problem):
    """400: the request cannot be parsed."""


class NotSignedIn(Problem):
    """401: the token or key is not valid, or the name or password is wrong."""


class Forbidden(Problem):
    """403: the key's scopes do not allow this, or no key may do it."""


class NotFound(Problem):
    """404: it does not exist, or belongs to another user."""


class Conflict(Problem):
    """409: `if_last` did not hold, the session has ended, or a name or key is taken."""


class Lost(Problem):
    """410: an earlier write of this client was lost with power or a failover."""


class TooLarge(Problem):
    """413: the body is over 1 MiB."""


class NotAllowed(Problem):
    """422: a value is not allowed; `errors` says which."""


class TooMany(Problem):
    """429: a quota or limit is reached."""


class ModelFailed(Problem):
    """502: the assistant's model answered with an error, or with no words."""


class Unavailable(Problem):
    """503: the server or the model's provider could not take it, also after all retries."""


class ModelTimedOut(Problem):
    """504: the assistant's model did not answer in time."""


_CLASSES: Mapping[int, type[Problem]] = {
    400: BadRequest,
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Lost,
    413: TooLarge,
    422: NotAllowed,
    429: TooMany,
    502: ModelFailed,
    503: Unavailable,
    504: ModelTimedOut,
}


def problem_of(status: int, headers: Mapping[str, str], body: bytes) -> Problem:
    """Return the error that an answer is; one that is no problem document has no detail."""
    document: Any = None
    if headers.get("content-type", "").startswith("application/problem+json"):
        try:
            document = json.loads(body)
        except ValueError:
            document = None
    known = isinstance(document, dict)
    made = _CLASSES.get(status, Problem)(status, document if known else {}, of_server=known)
    made.retry_after_seconds = _seconds(headers.get("retry-after"))
    return made


def told_problem(document: Mapping[str, Any]) -> Problem:
    """Return the error that an event `error` of a stream tells."""
    status = int(document["status"])
    made = _CLASSES.get(status, Problem)(status, document)
    made.retry_after_seconds = document.get("retryAfter")
    return made


def _seconds(retry_after: str | None) -> float | None:
    """Read a `Retry-After`: seconds, or a date, as proxies send it."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        wait = parsedate_to_datetime(retry_after) - datetime.now(timezone.utc)
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())
