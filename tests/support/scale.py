"""How much a run tests: a fixed share that is the same each time, or all of it with FULL=1.

FULL=1 repeats more and takes random seeds, which it prints; without it every seed is fixed.
"""

import os
import secrets
from typing import Final, TypeVar

FULL: Final = bool(os.environ.get("FULL"))
_SEED: Final = 7

T = TypeVar("T")


def scaled(gate: T, full: T) -> T:
    """Return the first, and the second with FULL=1."""
    return full if FULL else gate


def seed() -> int:
    """Return a seed for what a test leaves to chance, and print it for the report of a failure."""
    chosen = secrets.randbelow(10**9) if FULL else _SEED
    print(f"seed {chosen}")
    return chosen
