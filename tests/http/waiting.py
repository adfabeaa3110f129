"""Waiting for something to become true, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, within_seconds: float = 15.0) -> T:
    """Look again and again until what is seen is true, and return it."""
    deadline = time.monotonic() + within_seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not so within {within_seconds} s"
        time.sleep(0.01)
    return seen
