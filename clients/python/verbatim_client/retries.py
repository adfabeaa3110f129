"""Whether a failed attempt is worth another one, and when."""

import random
import time
from collections.abc import Callable
from typing import Any, Final

from verbatim_client.call import Call
from verbatim_client.errors import NoAnswer, Problem, VerbatimError
from verbatim_client.steps import Pause

_FIRST_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 5.0
_BUSY: Final = {408, 429, 503}
#: Of the server itself, these mean that the model failed: said again, it would fail again.
_GATEWAY: Final = {502, 504}
_NOTHING_DONE: Final = 429


def is_worth_repeating(failure: VerbatimError, *, is_repeatable: bool) -> bool:
    """Tell whether the same request may have a better answer, and does no harm.

    `is_repeatable` says that it may be sent again where it is unknown whether it was accepted.
    """
    if isinstance(failure, NoAnswer):
        return is_repeatable or not failure.sent
    if not isinstance(failure, Problem):
        return False
    if failure.status in _GATEWAY:
        worth = not failure.of_server or failure.retry_after_seconds is not None
        return is_repeatable and worth
    return failure.status in _BUSY and (is_repeatable or failure.status == _NOTHING_DONE)


class Patience:
    """How long one call goes on trying: for some seconds after its first failure."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._failures = 0
        self._deadline = 0.0

    def pause(self, failure: VerbatimError, call: Call[Any]) -> Pause:
        """Return the pause before the next attempt, at least `Retry-After`.

        Raises:
            VerbatimError: The failure itself: another attempt is of no use, or would be too late.
        """
        failure.idempotency_key = call.key
        if not is_worth_repeating(failure, is_repeatable=call.is_repeatable):
            raise failure
        if not self._failures:
            self._deadline = self._now() + self._seconds
        longest = min(_MOST_SECONDS, _FIRST_SECONDS * 2**self._failures)
        self._failures += 1
        # Clients that failed together shall not come back together.
        wait = longest * random.uniform(0.5, 1)  # noqa: S311 - it is no secret
        wait = max(wait, failure.retry_after_seconds or 0)
        if self._now() + wait > self._deadline:
            raise failure
        return Pause(wait)

    def renew(self) -> None:
        """Begin anew: there was progress."""
        self._failures = 0
