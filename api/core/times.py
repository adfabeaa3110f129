"""Times as clients see them."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(at: datetime) -> str:
    """Return a time in UTC as ISO 8601, always to the microsecond: as texts they sort as times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def unix_ms(at: datetime) -> int:
    """Return a time in Unix milliseconds, rounded down."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def time_of(unix_ms: int) -> datetime:
    """Return the time of Unix milliseconds, in UTC."""
    return _EPOCH + timedelta(milliseconds=unix_ms)
