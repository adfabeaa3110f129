"""How much is in the log, by partition, and what drains have counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition of the log. `tail` and `accepted` are None while the log is closed."""

    partition: int
    tail: int | None
    accepted: int | None
    entries: int
    bytes: int
    oldest_at_ms: int | None
    #: Entries that PostgreSQL has, and that are kept in case it goes back.
    kept: int


@dataclass(frozen=True, slots=True)
class LogStatus:
    """The whole log at one moment of Redis time."""

    now_ms: int
    partitions: list[PartitionStatus]

    @property
    def entries(self) -> int:
        """Entries not known to be in PostgreSQL."""
        return sum(partition.entries for partition in self.partitions)

    @property
    def kept(self) -> int:
        """Entries that PostgreSQL has, and that are kept in case it goes back."""
        return sum(partition.kept for partition in self.partitions)

    @property
    def oldest_age_ms(self) -> int:
        """Age of the oldest entry, 0 if there is none."""
        oldest = [p.oldest_at_ms for p in self.partitions if p.oldest_at_ms is not None]
        return max(self.now_ms - min(oldest), 0) if oldest else 0


def read_status(reply: Sequence[Any]) -> LogStatus:
    """Read the script's reply to `status`."""
    now_ms, *partitions = reply
    return LogStatus(int(now_ms), [_partition_status(fields) for fields in partitions])


def _partition_status(fields: Sequence[Any]) -> PartitionStatus:
    partition, tail, accepted, entries, held, oldest, kept = fields
    return PartitionStatus(
        partition,
        int(tail) if tail else None,
        int(accepted) if accepted else None,
        entries,
        int(held),
        int(oldest) if oldest else None,
        int(kept),
    )


def read_counts(counts: Mapping[bytes, bytes]) -> dict[str, int]:
    """Read the hash of what drains have counted."""
    return {name.decode(): int(value) for name, value in counts.items()}
