"""Ids: 53 bits, exact in JavaScript, made by the accept script (design: docs/decisions/002-ids.md).

    id = (ms since 2025-01-01T00:00Z) << 12 | (sequence within the ms, 8 bits) << 4 | partition

The id is identity and consistency token, not order: order is `position`.
"""

from datetime import UTC, datetime
from typing import Final

#: 2025-01-01T00:00Z in Unix milliseconds.
EPOCH_MS: Final = 1_735_689_600_000
#: How many partitions the log has, for ever: the partition is part of every id.
PARTITIONS: Final = 16
#: The largest id: 2^53 - 1, JavaScript's largest exact integer.
MAX_ID: Final = 2**53 - 1
#: Ids below this one come from an import, not from the accept script.
IMPORTED_BELOW: Final = 2**41

_MS_SHIFT: Final = 12


def is_id(value: int) -> bool:
    """Tell whether a number can be an id: 1 to 2^53 - 1."""
    return 1 <= value <= MAX_ID


def partition_of(conversation_id: int) -> int:
    """Return the partition (0 to 15) of a conversation and of everything in it."""
    return conversation_id & (PARTITIONS - 1)


def first_at(unix_ms: int, partition: int) -> int:
    """Return the smallest id that the accept script gives out at a time in a partition."""
    return max(unix_ms - EPOCH_MS, 0) << _MS_SHIFT | partition


def unix_ms_of(entry_id: int) -> int:
    """Return the Unix milliseconds an id claims; `created_at` is the truth, this is for bounds."""
    return (entry_id >> _MS_SHIFT) + EPOCH_MS


def time_of(entry_id: int) -> datetime:
    """Return the time an id claims."""
    return datetime.fromtimestamp(unix_ms_of(entry_id) / 1000, UTC)
