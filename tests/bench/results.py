"""What the runs have left, as the page asks for it."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.figures import Figure, Section, load

#: Contestants as people know them, in the order of the tables.
NAMES: Final = {
    "verbatim": "Verbatim",
    "verbatim_2": "Verbatim, two API processes",
    "no_io": "no I/O",
    "no_io_lane": "no I/O, fast lane",
    "sqlmodel": "SQLModel insert",
    "asyncpg": "asyncpg, one statement",
    "asyncpg_lane": "asyncpg, fast lane",
    "background": "BackgroundTasks",
    "celery": "Celery .delay()",
    "batches": "celery-batches",
    "langchain": "LangChain",
    "agents": "OpenAI Agents SDK",
    "execute_values": "raw execute_values",
    "copy": "raw COPY",
}


@dataclass(frozen=True, slots=True)
class Results:
    """The sections' figures, each from the last run that measured it."""

    sections: dict[str, Section]

    @classmethod
    def read(cls, file: Path) -> "Results":
        """Read a results file; what was not measured is simply missing."""
        return cls(load(file))

    @property
    def figures(self) -> dict[str, Figure]:
        """All figures by name."""
        return {one.name: one for section in self.sections.values() for one in section.figures}

    def rounds(self, name: str) -> tuple[list[float], list[float]]:
        """Return the rounds of a figure and of its baseline; nothing where it was not measured."""
        for section in self.sections.values():
            if name in section.rounds:
                return section.rounds[name]
        return [], []

    def value(self, name: str) -> float | None:
        """Return a figure's median."""
        values, _ = self.rounds(name)
        return statistics.median(values) if values else None

    def contestants(self, begin: str, end: str = "") -> dict[str, list[float]]:
        """Return each one's rounds of `<begin>_verbatim_vs_<rival><end>`, Verbatim's too."""
        seen: dict[str, list[float]] = {}
        for name in NAMES:
            ours, theirs = self.rounds(f"{begin}_verbatim_vs_{name}{end}")
            if ours:
                seen |= {"verbatim": ours, name: theirs}
        return {name: seen[name] for name in NAMES if name in seen}

    def numbers(self, begin: str, end: str = "") -> list[int]:
        """Return the numbers n of the figures named `<begin><n><end>`."""
        found = {
            name.removeprefix(begin).removesuffix(end)
            for name in self.figures
            if name.startswith(begin) and name.endswith(end)
        }
        return sorted(int(one) for one in found if one.isdigit())
