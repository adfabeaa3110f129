"""What one run of the drain did."""

import time
from dataclasses import dataclass, field

from workers.batch_result import BatchResult
from workers.failures import BatchFailedError


@dataclass(slots=True)
class Run:
    """The counts of one run, and the failure that it will end with, if any."""

    started: float = field(default_factory=time.monotonic)
    messages: int = 0
    entries: int = 0
    batches: int = 0
    duplicates: int = 0
    discarded: int = 0
    dead: int = 0
    oldest_ms: int = 0
    #: Why the run is to fail in the end. A drain goes on with what still works.
    failure: str = ""
    #: A batch timed out: another session holds a row, the rest of PostgreSQL may well work.
    timed_out: bool = False

    def is_younger_than(self, seconds: float) -> bool:
        """Return whether the run started less than this long ago."""
        return time.monotonic() - self.started < seconds

    def add(self, batch: BatchResult) -> None:
        """Add up what a batch did."""
        self.batches += bool(batch.done)
        self.entries += len(batch.entries)
        self.messages += sum(entry.op == "add" for entry in batch.applied)
        self.duplicates += batch.duplicates
        self.discarded += batch.discarded
        self.dead += len(batch.dead_letters)
        self.oldest_ms = max(self.oldest_ms, *batch.lags_ms, 0)

    def fail(self, failure: BatchFailedError) -> None:
        """Keep the first failure."""
        self.failure = self.failure or str(failure)
        self.timed_out = self.timed_out or failure.timed_out

    def summary(self) -> dict[str, int]:
        """Return what Flower shows of a run."""
        return {
            "messages": self.messages,
            "entries": self.entries,
            "batches": self.batches,
            "oldest_ms": self.oldest_ms,
            "duplicates": self.duplicates,
            "discarded": self.discarded,
            "dead": self.dead,
        }
