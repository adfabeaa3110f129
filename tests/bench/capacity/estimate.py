"""How far the measured costs reach past one machine: on paper, and from the results alone."""

from typing import Final

from tests.bench.capacity.costs import CALLED, costs
from tests.bench.field import PARTS
from tests.bench.results import Results

#: Messages a second to plan for.
_RATES: Final = (1_000, 10_000, 50_000)
#: An outage of PostgreSQL that the log is to hold, and how busy a part may be on an ordinary day.
_OUTAGE_SECONDS: Final = 600
_BUSY: Final = 0.5


def estimate(results: Results) -> str:
    """Write the estimate, for messages as long as those of the benchmark."""
    if (cost := costs(results)) is None:
        return "The costs of a message were not all measured, so there is no estimate."
    heads = ["needs", "of one message", *(f"{rate:,} msg/s" for rate in _RATES)]
    rows = [heads, ["---"] * len(heads)]
    for part in PARTS:
        cores = [f"{cost.cores(part, rate):,.1f} cores" for rate in _RATES]
        rows.append([CALLED[part], f"{cost.cpu_ms[part]:.3f} ms CPU", *cores])
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
