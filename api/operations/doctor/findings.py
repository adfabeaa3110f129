"""What the doctor found: one sentence on each thing it looked at, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Area = Literal["settings", "redis", "postgresql", "files", "broker", "workers", "log"]
#: A problem keeps something from working, or may lose data; a warning may come to that.
Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Its texts hold no secret, and nothing of users."""

    area: Area
    level: Level
    says: str
    #: What to do; empty where all is well.
    do: str = ""


def ok(area: Area, says: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(area, "ok", says)


def warning(area: Area, says: str, do: str) -> Finding:
    """Return a finding that may become a problem, or that promises less than Verbatim can."""
    return Finding(area, "warning", says, do)


def problem(area: Area, says: str, do: str) -> Finding:
    """Return a finding that needs somebody."""
    return Finding(area, "problem", says, do)


def clock(area: Area, server: str, skew_seconds: float, uncertain_seconds: float) -> Finding:
    """Return what a clock says: how far a server's is from this machine's, and how sure that is."""
    if abs(skew_seconds) - uncertain_seconds <= MAX_SKEW_SECONDS:
        return ok(area, f"the clock of {server} and this machine's agree")
    ahead = "ahead of" if skew_seconds > 0 else "behind"
    return warning(
        area,
        f"the clock of {server} is {abs(skew_seconds):.1f} s {ahead} this machine's",
        "synchronise the clocks of all machines (chrony, NTP): ages, expiries of tokens and keys, "
        "and lags are wrong by as much",
    )


#: Clocks that differ by more than this are told.
MAX_SKEW_SECONDS = 1.0
