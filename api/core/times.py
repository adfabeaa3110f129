"""Times as clients see them."""

from datetime import UTC, datetime


def iso(at: datetime) -> str:
    """Return a time in UTC as ISO 8601, always to the microsecond: as texts they sort as times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
