"""JSON objects that clients keep here for themselves: any, within bounds of depth."""

from itertools import chain
from typing import Any, Final

from pydantic_core import PydanticCustomError

#: Objects and arrays within each other.
DEPTH_MOST: Final = 32


def not_too_deep(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object. Raises where objects and arrays in it are nested too deep."""
    if is_too_deep(value):
        raise PydanticCustomError("depth", "Objects and arrays are nested too deep")
    return value


def is_too_deep(value: dict[str, Any] | list[Any]) -> bool:
    """Return whether objects and arrays, this one included, are nested too deep."""
    level: list[Any] = [value]
    for _ in range(DEPTH_MOST):
        parts = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for one in chain.from_iterable(parts) if isinstance(one, dict | list)]
    return bool(level)
