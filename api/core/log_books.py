"""The log's books: opening it, what it remembers of partitions, what was found of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from api.core.ids import ALL_PARTITIONS
from api.core.log_client import LogClient
from api.core.log_status import LogStatus, read_counts, read_status

#: How often the books are audited while there is work.
AUDIT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Marks:
    """What the log remembers of partitions, apart from their entries."""

    #: None: not bound to a database yet.
    database_id: str | None
    tails: dict[int, int | None]
    accepted: dict[int, int]
    #: The ids up to which PostgreSQL is known to have had everything.
    committed: dict[int, int]


class LogBooks(LogClient):
    """What opens the log and what audits it."""

    def status(self) -> LogStatus:
        """Return every partition's tail, counts, bytes and oldest entry at one moment."""
        return read_status(self.run("status"))

    def marks(self, partitions: Sequence[int]) -> Marks:
        """Return whose database this log is, and what it remembers of partitions."""
        kinds = ("database", "tail", "accepted", "committed")
        # Of keys on several servers none answers.
        groups = [[one] for one in partitions] if self.servers.is_cluster else [partitions]
        answers = self._each(
            (group[0], ("MGET", *(self.key(one, kind) for one in group for kind in kinds)))
            for group in groups
        )
        found: list[bytes | None] = [value for answer in answers for value in answer]
        databases, tails, accepted, committed = (
            found[start :: len(kinds)] for start in range(len(kinds))
        )
        return Marks(
            None if None in databases else min(name.decode() for name in databases if name),
            {p: int(tail) if tail else None for p, tail in zip(partitions, tails, strict=True)},
            {p: int(count or 0) for p, count in zip(partitions, accepted, strict=True)},
            {
                p: int(said.partition(b" ")[0]) if said else 0
                for p, said in zip(partitions, committed, strict=True)
            },
        )

    def balance(self, partition: int, last_id: int) -> tuple[int | None, int]:
        """Return a partition's entries ever accepted, and those in the log above an id."""
        accepted, above = self.run("balance", last_id, at=(partition,))
        return int(accepted) if accepted else None, above

    def first_above(self, partition: int, entry_id: int) -> int | None:
        """Return the id of a partition's first entry above an id, be it committed or not."""
        stream = self.key(partition, "log")
        found: Any = self.ask(partition, lambda redis: redis.xrange(stream, entry_id + 1, count=1))
        return int(found[0][0].partition(b"-")[0]) if found else None

    def counts(self) -> dict[str, int]:
        """Return what drains have counted so far."""
        name = self.key(0, "drain:counts")
        counts = self.ask(0, lambda redis: redis.hgetall(name))
        return read_counts(cast("dict[bytes, bytes]", counts))

    def wants_audit(self) -> bool:
        """Tell whether the caller is the one to audit the books (twice a minute)."""
        name = self.key(0, "audited")
        return bool(self.ask(0, lambda redis: redis.set(name, 1, nx=True, ex=AUDIT_SECONDS)))

    def note_audit(self, unbalanced: Sequence[int]) -> None:
        """Say which partitions did not balance."""
        name = self.key(0, "unbalanced")
        self.ask(0, lambda redis: redis.set(name, len(unbalanced)))

    def adopt(self, database_id: str, partitions: Iterable[tuple[int, int, int]]) -> bool:
        """Bind the log to its database and open it; return whether it began anew or went back.

        A partition is (number, last_id, applied + dead + discarded) as PostgreSQL has them.
        Raises WrongDatabaseError if the log belongs to another database.
        """
        known = list(partitions)
        numbers = [number for _, *numbers in known for number in numbers]
        found = self._call("adopt", database_id, [partition for partition, *_ in known], *numbers)
        self.database_id = database_id
        return bool(found)

    def recount(self, partitions: Iterable[tuple[int, int, int]]) -> None:
        """Count as accepted what the books know of (see `adopt`): for regressed ids only."""
        known = list(partitions)
        numbers = [number for _, *numbers in known for number in numbers]
        self.run("recount", *numbers, at=[partition for partition, *_ in known])

    def take_again(
        self, partitions: Iterable[tuple[int, int, int]], *, lost_is_known: bool = False
    ) -> tuple[int, int]:
        """Have what a PostgreSQL that went back lacks drained again, as far as the log has it.

        A partition is as in `adopt`, and locked. Return how many entries these are, and how many
        more are in neither: with any of those nothing is done to their partition, unless that is
        known, and they are no longer counted as accepted.
        """
        known = list(partitions)
        numbers = [number for _, *numbers in known for number in numbers]
        at = [partition for partition, *_ in known]
        again, lost = self.run("take_again", int(lost_is_known), *numbers, at=at)
        return int(again), int(lost)

    def went_back_at_ms(self) -> int | None:
        """Return when the log was found to have lost entries or begun anew, if it ever was."""
        found = self._each((one, ("GET", self.key(one, "went_back"))) for one in ALL_PARTITIONS)
        return min((int(at_ms) for at_ms in found if at_ms), default=None)

    def acknowledge_going_back(self) -> None:
        """Take it as known that the log lost entries or began anew."""
        self._each((one, ("DEL", self.key(one, "went_back"))) for one in ALL_PARTITIONS)
