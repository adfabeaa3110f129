"""Waiting for something to become true, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Of a loaded machine. What becomes true is seen within milliseconds, so only a failure waits.
DEADLINE_SECONDS = 120.0


def eventually(
    look: Callable[[], T],
    *,
    within_seconds: float = DEADLINE_SECONDS,
    otherwise: Callable[[], object] = lambda: "",
) -> T:
    """Look again and again until what is seen is true, and return it.

    Raises AssertionError at the deadline, with what `otherwise` returns.
    """
    deadline = time.monotonic() + within_seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not so within {within_seconds} s {otherwise()}"
        time.sleep(0.01)
    return seen
