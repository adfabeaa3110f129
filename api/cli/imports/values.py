"""Values out of a file that anybody may have written: of the wanted type, or empty."""

import math
from datetime import UTC, datetime
from typing import Any, Final

#: More seconds than that since 1970 are milliseconds: until the year 5138 none are mistaken.
_MILLISECONDS_FROM: Final = 1e11
#: Objects and arrays within each other: the server keeps no more.
DEPTH_MOST: Final = 30


def text(value: object) -> str:
    """Return a string, or an empty one."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> dict[str, Any]:
    """Return an object of JSON, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list; all else in it is passed over."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """Return the strings in a list that say something."""
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def time(value: object) -> datetime | None:
    """Return a time: seconds or milliseconds since 1970, or ISO 8601 (UTC if it has no zone)."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            seconds = value / 1000 if value > _MILLISECONDS_FROM else value
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def storable_json(value: Any, depth: int = DEPTH_MOST) -> Any:
    """Return a value as the server takes it: numbers that JSON lacks are null, texts are whole.

    Raises ValueError where it is nested deeper than `depth`.
    """
    if isinstance(value, str):
        # Halves of surrogate pairs that belong together are joined.
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return [storable_json(one, depth - 1) for one in value]
    return {storable_json(name): storable_json(one, depth - 1) for name, one in value.items()}
