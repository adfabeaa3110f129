"""Ids: 53 bits, exact in JavaScript, made by the accept script (docs/decisions/002-ids.md).

    id = (ms since 2025-01-01T00:00Z) << 12 | (sequence within the ms, 8 bits) << 4 | partition

An id is an identity and a consistency token. It gives no order; that is `position`.
"""

from datetime import UTC, datetime
from typing import Final

#: 2025-01-01T00:00Z in Unix milliseconds.
EPOCH_MS: Final = 1_735_689_600_000
#: Number of the log's partitions. It can never change, since the partition is part of every id.
PARTITIONS: Final = 16
#: What an operation of the log is for unless it says otherwise.
ALL_PARTITIONS: Final = tuple(range(PARTITIONS))
#: The largest id: 2^53 - 1, JavaScript's largest exact integer.
MAX_ID: Final = 2**53 - 1
#: The largest id of a user: PostgreSQL's largest bigint.
MAX_USER_ID: Final = 2**63 - 1
#: Ids below this one were imported, not made by the accept script.
IMPORTED_BELOW: Final = 2**41

_MS_SHIFT: Final = 12


def is_id(value: int) -> bool:
    """Return whether a number can be an id: 1 to 2^53 - 1."""
    return 1 <= value <= MAX_ID


def parse_user_id(text: str) -> int:
    """Return the user's id that a text of decimal digits names. Raises ValueError."""
    user_id = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= user_id <= MAX_USER_ID:
        raise ValueError("not a user's id")
    return user_id


def partition_of(conversation_id: int) -> int:
    """Return the partition (0 to 15) of a conversation and of everything in it."""
    return conversation_id & (PARTITIONS - 1)


def first_at(unix_ms: int, partition: int) -> int:
    """Return the smallest id that the accept script makes in that millisecond in a partition."""
    return max(unix_ms - EPOCH_MS, 0) << _MS_SHIFT | partition


def unix_ms_of(entry_id: int) -> int:
    """Return the Unix milliseconds in an id: an estimate, since `created_at` may differ from it."""
    return (entry_id >> _MS_SHIFT) + EPOCH_MS


def time_of(entry_id: int) -> datetime:
    """Return the time in an id, as `unix_ms_of`."""
    return datetime.fromtimestamp(unix_ms_of(entry_id) / 1000, UTC)
