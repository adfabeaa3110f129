"""What one batch did, by partition."""

from dataclasses import dataclass, field
from itertools import chain

from api.core.entries import Entry
from api.core.log_drain import Reading
from api.core.partition_counts import Locked, Tally
from workers.plan import DeadLetter, Plan


@dataclass(slots=True)
class BatchResult:
    """What one transaction did. Without locked partitions: other drains hold them all."""

    locked: dict[int, Locked] = field(default_factory=dict)
    #: What was read of the log.
    reading: Reading = field(default_factory=Reading)
    #: When that was, in seconds of this process's monotonic clock.
    read_at: float = 0.0
    #: Entries that were decided on, whether applied, discarded or dead-lettered.
    done: dict[int, list[Entry]] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    #: For each applied entry, the time from its acceptance to the commit.
    lags_ms: list[int] = field(default_factory=list)
    #: Partitions whose next entry has a format that only newer workers know.
    waiting: set[int] = field(default_factory=set)
    #: Partitions that stopped because there were too many dead letters.
    halted: set[int] = field(default_factory=set)

    @property
    def entries(self) -> list[Entry]:
        """All entries that were decided on."""
        return list(chain.from_iterable(self.done.values()))

    @property
    def applied(self) -> list[Entry]:
        """Entries that are in PostgreSQL now, and were not before."""
        return [entry for plan in self.plans for entry in plan.applied]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Entries that became dead letters."""
        return [letter for plan in self.plans for letter in plan.dead_letters]

    @property
    def deleted(self) -> list[int]:
        """Conversations whose messages are to be removed, if they are tombstones.

        Includes those of deletes that were committed before, by a worker that may have died since.
        """
        return [entry.conversation_id for entry in self.entries if entry.op == "delete"]

    @property
    def discarded(self) -> int:
        """How many entries met a tombstone, or a user whose account is deleted."""
        return sum(tally.discarded for plan in self.plans for tally in plan.tallies.values())

    @property
    def lost_users(self) -> set[int]:
        """Users of discarded entries who do not exist."""
        return set().union(*(plan.lost_users for plan in self.plans))

    @property
    def duplicates(self) -> int:
        """How many entries had been committed before."""
        return sum(plan.duplicates for plan in self.plans)

    def advances(self) -> dict[int, Tally]:
        """Return how the partitions' rows advance; partitions without new entries are left out."""
        sums = {p: Tally(locked.last_id) for p, locked in self.locked.items()}
        for partition, tally in chain.from_iterable(plan.tallies.items() for plan in self.plans):
            total = sums[partition]
            total.last_id = max(total.last_id, tally.last_id)
            total.applied += tally.applied
            total.dead += tally.dead
            total.discarded += tally.discarded
        return {p: t for p, t in sums.items() if t != Tally(self.locked[p].last_id)}
