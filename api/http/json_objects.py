"""JSON objects that clients keep here for themselves: any, within bounds. They come back equal."""

import json
import math
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from pydantic_core import PydanticCustomError

from api.core.text import is_storable

#: Objects and arrays within each other.
DEPTH_MOST: Final = 32


def json_text(value: Any) -> str:
    """Return the JSON text of a value, as it is stored."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def not_too_deep(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object. Raises where objects and arrays in it are nested too deep."""
    level: list[Any] = [value]
    for _ in range(DEPTH_MOST):
        parts = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for one in chain.from_iterable(parts) if isinstance(one, dict | list)]
    if level:
        raise PydanticCustomError("depth", "Objects and arrays are nested too deep")
    return value


def object_of(most_bytes: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a validator of objects; their text has at most so many bytes, in UTF-8."""

    def checked(value: dict[str, Any]) -> dict[str, Any]:
        level: list[Any] = [not_too_deep(value)]
        while level:
            level = [part for one in level for part in _parts(one)]
        if len(json_text(value).encode()) > most_bytes:
            raise PydanticCustomError(
                "size", "As JSON it has {most} bytes at most", {"most": most_bytes}
            )
        return value

    return checked


def _parts(value: Any) -> Iterator[Any]:
    """Yield what is in an object or array. Raises for what has no place in JSON text."""
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("number", "A number is out of range")
    # A NUL is stored, escaped.
    elif isinstance(value, str) and not is_storable(value.replace("\0", "")):
        raise PydanticCustomError("text", "Halves of surrogate pairs cannot be stored")
