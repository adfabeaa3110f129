"""What one message takes of each part, as it was measured."""

import re
from dataclasses import dataclass
from typing import Final

from tests.bench.field import PARTS
from tests.bench.results import Results

#: The parts as people know them.
CALLED: Final = {
    "api": "API processes",
    "redis": "Redis",
    "worker": "worker processes",
    "postgres": "PostgreSQL",
}


@dataclass(frozen=True, slots=True)
class Costs:
    """What one message takes of each part; CPU in milliseconds."""

    cpu_ms: dict[str, float]
    wal_bytes: float
    log_bytes: float

    def cores(self, part: str, per_second: float) -> float:
        """CPU cores of a part at this rate, all busy."""
        return self.cpu_ms[part] * per_second / 1000

    @property
    def most_per_second(self) -> float:
        """What one Redis takes, which runs its commands one after the other."""
        return 1000 / self.cpu_ms["redis"]


def costs(results: Results) -> Costs | None:
    """Return the measured costs, or None where one of them is missing."""
    cpu_ms = {part: results.value(f"cpu_per_message_{part}") for part in PARTS}
    wal_bytes = results.value("wal_per_message_verbatim_vs_asyncpg")
    log_bytes = results.value("log_bytes_per_message")
    known = {part: ms for part, ms in cpu_ms.items() if ms}
    if len(known) < len(PARTS) or wal_bytes is None or log_bytes is None:
        return None
    return Costs(known, wal_bytes, log_bytes)


def costs_of_page(page: str) -> Costs:
    """Return the costs that docs/performance.md shows. Raises ValueError where it shows none."""
    _, begun, rest = page.partition("<!-- measured: capacity -->")
    table = rest.partition("<!-- end -->")[0]
    known = {
        name: float(value.replace(",", ""))
        for name, value in re.findall(r"^\| ([^|]+) \| ([\d.,]+) (?:ms|bytes)", table, re.MULTILINE)
    }
    log = next((value for name, value in known.items() if name.startswith("log, ")), None)
    if not begun or log is None or not {*CALLED.values(), "WAL"} <= known.keys():
        raise ValueError("the page does not show the costs of a message")
    return Costs({part: known[CALLED[part]] for part in PARTS}, known["WAL"], log)
