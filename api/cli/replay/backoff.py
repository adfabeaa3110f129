"""How long to go on repeating one request, and how long to wait in between."""

import random
from http import HTTPStatus
from typing import Final

FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 5.0
#: What may pass. Any 5xx is an unknown outcome, which the Idempotency-Key makes safe to repeat.
PASSING: Final = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Patience:
    """One request's: waits that double, with jitter, or what the server asks for, until it ends."""

    def __init__(self, seconds: float, now: float) -> None:
        self._ends_at = now + seconds
        self._longest = FIRST_WAIT_SECONDS

    def wait_seconds(self, now: float, retry_after: str | None) -> float | None:
        """Return how long to wait before the next try; None means to give up."""
        jitter = random.uniform(self._longest / 2, self._longest)  # noqa: S311 - not a secret
        self._longest = min(self._longest * 2, LONGEST_WAIT_SECONDS)
        # The header's other form, a date, is treated as none at all.
        asked = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
        wait = asked + jitter
        return wait if now + wait <= self._ends_at else None
