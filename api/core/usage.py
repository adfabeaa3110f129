"""Tokens that an answer took, as its model told and its `extra` keeps (`api/chat/parts.py`)."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

#: Of one answer: more is no count, and a sum of these stays within PostgreSQL's integers.
TOKENS_MOST: Final = 10**12


class Tokens(NamedTuple):
    """What one answer took."""

    input: int
    output: int

    @property
    def total(self) -> int:
        """What counts for a limit."""
        return self.input + self.output


def of_text(extra: str | None) -> Tokens | None:
    """Return what a stored `extra` tells, None where it tells nothing."""
    # Most have no usage; what has may be long.
    if extra is None or '"usage"' not in extra:
        return None
    try:
        told = json.loads(extra)
    except (ValueError, RecursionError):
        return None
    return of_extra(told) if isinstance(told, dict) else None


def of_extra(extra: Mapping[str, Any] | None) -> Tokens | None:
    """Return the same of an `extra` that is not a text yet."""
    usage = extra.get("usage") if extra else None
    if not isinstance(usage, dict):
        return None
    counts = [usage.get(name) for name in ("input_tokens", "output_tokens")]
    if not any(type(count) is int for count in counts):
        return None
    return Tokens(*(_bounded(count) for count in counts))


def _bounded(count: Any) -> int:
    return min(max(count, 0), TOKENS_MOST) if type(count) is int else 0
