"""Retries of one request: which answers are retried, after which delay, and for how long."""

import random
from http import HTTPStatus
from typing import Final

FIRST_DELAY_SECONDS: Final = 0.1
MAX_DELAY_SECONDS: Final = 5.0
#: Temporary errors. The outcome of a 5xx is unknown; the Idempotency-Key makes a retry safe.
RETRYABLE: Final = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Backoff:
    """Exponential back-off with jitter for one request, on top of the server's `Retry-After`."""

    def __init__(self, seconds: float, now: float) -> None:
        """Allow retries for `seconds` from `now`, a time of the monotonic clock."""
        self._ends_at = now + seconds
        self._max_delay = FIRST_DELAY_SECONDS

    def delay_seconds(self, now: float, retry_after: str | None) -> float | None:
        """Return the delay before the next try, or None to give up."""
        jitter = random.uniform(self._max_delay / 2, self._max_delay)  # noqa: S311 - not a secret
        self._max_delay = min(self._max_delay * 2, MAX_DELAY_SECONDS)
        # The header's other form, a date, is ignored.
        asked = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
        delay = asked + jitter
        return delay if now + delay <= self._ends_at else None
