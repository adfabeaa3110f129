"""The figures: what is printed of each, and what each must show."""

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

#: Where the results are left, for the plots: a file for each scale.
RESULTS: Final = Path(__file__).parents[2] / ".venv" / "bench" / "results"

#: Name → target. "<=", ">=", "<", or "within" (a factor, either way), and whether it is about the
#: ratio or about the value itself.
TARGETS: Final[dict[str, tuple[str, float, str]]] = {
    "accept_16_verbatim_vs_no_io": (">=", 1.1, "ratio"),
    "accept_64_verbatim_vs_no_io": (">=", 1.5, "ratio"),
    "accept_16_verbatim_vs_no_io_lane": (">=", 0.45, "ratio"),
    "accept_16_verbatim_vs_sqlmodel": (">=", 10.0, "ratio"),
    "accept_16_verbatim_vs_asyncpg": (">=", 1.8, "ratio"),
    "accept_16_verbatim_vs_asyncpg_lane": (">=", 1.2, "ratio"),
    "accept_16_verbatim_vs_asyncpg_5ms_away": (">=", 2.8, "ratio"),
    "accept_p50_300_verbatim_vs_asyncpg_5ms_away": ("<=", 0.4, "ratio"),
    "postgres_cpu_per_message_verbatim_vs_asyncpg": ("<=", 0.4, "ratio"),
    "transactions_per_message_verbatim_vs_asyncpg": ("<=", 0.1, "ratio"),
    "accept_16_verbatim_vs_celery": (">=", 2.5, "ratio"),
    "accept_p99_300_verbatim_vs_no_io": ("<=", 2.0, "ratio"),
    "accept_p50_half_verbatim_vs_asyncpg": ("<=", 1.0, "ratio"),
    "accept_p99_300_asleep_vs_awake": ("<=", 1.2, "ratio"),
    "drain_verbatim_vs_celery": (">=", 50.0, "ratio"),
    "drain_verbatim_vs_execute_values": (">=", 0.9, "ratio"),
    "drain_verbatim_vs_copy": (">=", 0.4, "ratio"),
    "lag_p50_1000": ("<=", 15.0, "value"),
    "lag_p99_1000": ("<=", 60.0, "value"),
    "worker_cpu_per_message_1000": ("<=", 0.25, "value"),
    "page_deep_vs_first": ("<=", 1.2, "ratio"),
    "page_latest_200000_vs_10000": ("<=", 1.3, "ratio"),
    "page_latest_1000000_vs_10000": ("<=", 1.3, "ratio"),
    "page_latest_10000000_vs_10000": ("<=", 1.3, "ratio"),
    "history_verbatim_vs_no_io": (">=", 1.2, "ratio"),
    "log_bytes_per_message": ("<=", 650.0, "value"),
    "lost_verbatim_vs_acknowledged": ("<=", 0.0, "value"),
    "page_10000_verbatim_vs_langchain": ("<=", 1.0, "ratio"),
    "stream_first_byte_vs_no_log": ("<=", 1.5, "ratio"),
    "stream_first_byte_beyond_fsync_vs_no_log": ("<=", 1.15, "ratio"),
    "stream_cpu_per_event": ("<", 50.0, "value"),
    "accept_p99_300_storm_vs_calm": ("<=", 2.0, "ratio"),
    "turn_p99_import_vs_calm": ("<=", 2.0, "ratio"),
    "turn_p99_import_again_vs_calm": ("<=", 2.0, "ratio"),
    "import_again_changes": ("<=", 0.0, "value"),
    "cpu_16_verbatim_vs_earlier": ("<=", 0.6, "ratio"),
    "cpu_64_verbatim_vs_earlier": ("<=", 0.6, "ratio"),
    "script_16_verbatim_vs_earlier": ("<=", 45.0, "value"),
    "page_1_p50_verbatim_vs_earlier": ("<=", 0.35, "ratio"),
    "history_1_p50_verbatim_vs_earlier": ("<=", 0.35, "ratio"),
    "memory_accepting_verbatim_vs_earlier": ("<=", 1.0, "ratio"),
    "memory_reading_verbatim_vs_earlier": ("<=", 1.0, "ratio"),
    "highest_rate_verbatim_vs_earlier": (">=", 2.5, "ratio"),
    "signin_unknown_vs_known": ("within", 1.1, "ratio"),
    "not_found_foreign_vs_unknown": ("within", 1.05, "ratio"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result. `baseline` is the other contestant's, in the same unit."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    target: float | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Samples:
    """What one contestant showed, round by round."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(min(self.values))} to {short(max(self.values))})"


@dataclass(slots=True)
class Section:
    """What one section of a run showed, and on what."""

    environment: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    #: Name → the rounds behind the medians: of the value, and of its baseline.
    rounds: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)
    #: None: it did not come to its end.
    seconds: float | None = None


class Report:
    """Prints each figure as soon as it is known, and a table for people at the end.

    Figures go to stdout, one JSON object a line; everything else to stderr. A section's figures
    take the place of what the file holds of that section; other sections stay as they were.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._sections = load(file)
        self._measured: list[Section] = []

    @contextmanager
    def section(self, name: str, environment: dict[str, str]) -> Iterator[None]:
        """Open the section that the figures to come belong to."""
        say(name)
        section = self._sections[name] = Section(environment)
        self._measured.append(section)
        started = time.monotonic()
        yield
        section.seconds = round(time.monotonic() - started, 1)
        self._save()
        say(f"{name} took {section.seconds:.0f} seconds")

    def add(
        self,
        name: str,
        unit: str,
        values: Sequence[float],
        baseline: Sequence[float] = (),
    ) -> None:
        """Report a figure by the medians of its rounds, and of its baseline's."""
        value = statistics.median(values)
        other = statistics.median(baseline) if baseline else None
        ratio = value / other if other else None
        relation, target, of = TARGETS.get(name, ("", None, ""))
        judged = ratio if of == "ratio" else value
        met = None if target is None or judged is None else _holds(judged, relation, target)
        figure = Figure(
            name,
            _rounded(value),
            unit,
            None if other is None else _rounded(other),
            None if ratio is None else _rounded(ratio),
            target,
            met,
        )
        section = self._measured[-1]
        section.figures.append(figure)
        section.rounds[name] = (list(values), list(baseline))
        print(json.dumps(asdict(figure)), flush=True)
        self._save()

    def table(self, to: TextIO = sys.stderr) -> None:
        """Write the table of what this run measured."""
        shown = [(one, section) for section in self._measured for one in section.figures]
        names = max((len(figure.name) for figure, _ in shown), default=0)
        for key, value in self._measured[-1].environment.items():
            print(f"{key:<12} {value}", file=to)
        print(f"\n{'figure':<{names}}  {'median (min to max)':>32}  {'baseline':>32}"
              f"  {'ratio':>7}  target", file=to)  # fmt: skip
        for figure, section in shown:
            values, baseline = section.rounds[figure.name]
            relation, target, _ = TARGETS.get(figure.name, ("", None, ""))
            verdict = "" if figure.met is None else "  met" if figure.met else "  NOT MET"
            wanted = "" if target is None else f"{relation} {target:g}{verdict}"
            seen = f"{Samples(values)} {figure.unit}"
            other = str(Samples(baseline)) if baseline else ""
            ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
            print(f"{figure.name:<{names}}  {seen:>32}  {other:>32}  {ratio:>7}  {wanted}", file=to)

    def _save(self) -> None:
        known = {name: asdict(section) for name, section in self._sections.items()}
        self._file.write_text(json.dumps(known, indent=1))


def load(file: Path) -> dict[str, Section]:
    """Read what runs have left, by section; nothing where there was none."""
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return {
        name: Section(
            section["environment"],
            [Figure(**figure) for figure in section["figures"]],
            {one: (rounds[0], rounds[1]) for one, rounds in section["rounds"].items()},
            section["seconds"],
        )
        for name, section in known.items()
    }


def say(text: str) -> None:
    """Tell whoever watches what is being done."""
    print(f"… {text}", file=sys.stderr, flush=True)


def _holds(value: float, relation: str, target: float) -> bool:
    if relation == ">=":
        return value >= target
    if relation == "within":
        return 1 / target <= value <= target
    return value < target if relation == "<" else value <= target


def _rounded(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 10_000 else round(value)


def short(value: float) -> str:
    """Write a number as people read it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
