"""What an import leaves out and what it changes: counted by reason, with the first places."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

#: Places that are remembered of each reason.
PLACES_MOST: Final = 3


@dataclass(slots=True)
class Report:
    """Counts of one import. A reason is a noun: `broken JSON`, `message of another branch`."""

    #: What is not imported.
    left_out: Counter[str] = field(default_factory=Counter)
    #: What is imported, but not as it stood in the file.
    changed: Counter[str] = field(default_factory=Counter)
    #: How often something was damaged or refused: an import that is not whole.
    problems: int = 0
    #: Where the first of each reason were: a file and the number of a conversation in it.
    places: dict[str, list[str]] = field(default_factory=dict)
    #: Where the import is: the file, and the conversation in it, from 1.
    file: str = ""
    item: int = 0

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count what is left out here."""
        self._count(self.left_out, reason, count)

    def fail(self, reason: str) -> None:
        """Count what is left out here though it should not be: it is damaged, or refused."""
        self.problems += 1
        self.leave_out(reason)

    def change(self, reason: str, count: int = 1) -> None:
        """Count what is changed here."""
        self._count(self.changed, reason, count)

    def _count(self, counts: Counter[str], reason: str, count: int) -> None:
        if not count:
            return
        counts[reason] += count
        places = self.places.setdefault(reason, [])
        place = f"{self.file}, {self.item}" if self.item else self.file
        if place not in places and len(places) < PLACES_MOST:
            places.append(place)
