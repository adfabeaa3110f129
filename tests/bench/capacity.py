"""How far the measured costs reach past one machine: on paper, and from the results alone."""

from dataclasses import dataclass
from typing import Final

from tests.bench.field import PARTS
from tests.bench.results import Results

#: Messages a second to plan for.
_RATES: Final = (1_000, 10_000, 50_000)
#: An outage of PostgreSQL that the log is to hold, and how busy a part may be on an ordinary day.
_OUTAGE_SECONDS: Final = 600
_BUSY: Final = 0.5
_CALLED: Final = {
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


def estimate(results: Results) -> str:
    """Write the estimate, for messages as long as those of the benchmark."""
    if (cost := costs(results)) is None:
        return "The costs of a message were not all measured, so there is no estimate."
    heads = ["needs", "of one message", *(f"{rate:,} msg/s" for rate in _RATES)]
    rows = [heads, ["---"] * len(heads)]
    for part in PARTS:
        cores = [f"{cost.cores(part, rate):,.1f} cores" for rate in _RATES]
        rows.append([_CALLED[part], f"{cost.cpu_ms[part]:.3f} ms CPU", *cores])
    wal = [f"{cost.wal_bytes * rate / 1e6:,.1f} MB/s" for rate in _RATES]
    rows.append(["WAL", f"{cost.wal_bytes:,.0f} bytes", *wal])
    held = [f"{cost.log_bytes * rate * _OUTAGE_SECONDS / 1e9:,.1f} GB" for rate in _RATES]
    outage = f"log, PostgreSQL away for {_OUTAGE_SECONDS // 60} minutes"
    rows.append([outage, f"{cost.log_bytes:,.0f} bytes", *held])
    most = cost.most_per_second
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"{table}\n\n"
        f"One log is one Redis, and one Redis runs its commands on one core: at {most:,.0f}"
        f" messages a second that core is all busy, so {most * _BUSY:,.0f} are what to plan for."
        " An API"
        f" process, one core too, accepts {1000 * _BUSY / cost.cpu_ms['api']:,.0f} at the same"
        f" load, so {cost.cpu_ms['api'] / cost.cpu_ms['redis']:.1f} of them fill one Redis."
        f" PostgreSQL then needs {cost.cores('postgres', most * _BUSY):,.1f} cores and the workers"
        f" {cost.cores('worker', most * _BUSY):,.1f}."
    )
