"""What is assumed of a site: its users' habits, and the machines that it can have."""

from dataclasses import dataclass, field
from typing import Any


def _assumed(value: float, says: str) -> Any:
    return field(default=value, metadata={"says": says})


@dataclass(frozen=True, slots=True)
class Habits:
    """What people do. A turn is two messages: a question and its answer."""

    active_share: float = _assumed(0.2, "users who are active on a day, of all")
    turns_a_day: float = _assumed(10, "turns of one of them: a question and its answer each")
    busiest_hour: float = _assumed(0.12, "share of the busiest hour in the day")
    busiest_minute: float = _assumed(1.5, "its busiest minute, by the hour's average")
    evenness: float = _assumed(1.5, "few write much: exponent of the Pareto law of turns")
    kept_years: float = _assumed(1, "years that messages are kept")

    def messages_a_day(self, users: int) -> float:
        """Return the messages of all users on a day."""
        return users * self.active_share * self.turns_a_day * 2

    def messages_a_second(self, users: int) -> float:
        """Return the same in a second of the busiest minute."""
        return self.messages_a_day(users) * self.busiest_hour / 3600 * self.busiest_minute


@dataclass(frozen=True, slots=True)
class Machine:
    """The largest PostgreSQL that one gets without trouble, and how much a part may do."""

    cores: float = _assumed(32, "cores of a PostgreSQL")
    wal_mb_a_second: float = _assumed(200, "MB of WAL a second that it can write")
    disk_tb: float = _assumed(16, "TB of its disk")
    busy: float = _assumed(0.5, "how busy a part may be in the busiest minute")
    wait_ms: float = _assumed(20, "ms that a message may wait for a part, 99th percentile")
