"""Writes the tables of docs/capacity.md: `python -m tests.bench.capacity`."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Final

from tests.bench.capacity.costs import Costs, costs_of_page
from tests.bench.capacity.habits import Habits, Machine
from tests.bench.capacity.plan import plan, walls

_DOCS: Final = Path(__file__).parents[3] / "docs"
PAGE: Final = _DOCS / "capacity.md"
PERFORMANCE: Final = _DOCS / "performance.md"
USERS: Final = (10_000, 1_000_000, 100_000_000)
_MARKED: Final = re.compile(r"(?<=<!-- simulated -->\n).*(?=<!-- end -->)", re.DOTALL)
_STORED: Final = re.compile(r"^\| stored, with its indexes \| ([\d,]+) bytes", re.MULTILINE)


def tables(costs: Costs, stored_bytes: float, habits: Habits, machine: Machine) -> str:
    """Return the tables as Markdown."""
    plans = [plan(users, costs, stored_bytes, habits, machine) for users in USERS]
    rows = [
        ["", *(f"{one.users:,} users" for one in plans)],
        ["---"] * (len(plans) + 1),
        ["messages a second, busiest minute", *(_number(one.rate) for one in plans)],
        ["API processes", *(str(one.apis) for one in plans)],
        ["masters of the log", *(_partitions(one.masters) for one in plans)],
        ["worker processes", *(_partitions(one.workers) for one in plans)],
        ["cores of PostgreSQL", *(str(one.postgres_cores) for one in plans)],
        ["WAL, MB/s", *(_number(one.wal_mb_a_second) for one in plans)],
        [f"stored in {habits.kept_years:g} year, TB", *(_number(one.stored_tb) for one in plans)],
        ["PostgreSQLs", *(str(one.postgreses) for one in plans)],
    ]
    ends = [["what is full", "at so many users"], ["---"] * 2]
    for name, users in walls(costs, stored_bytes, habits, machine):
        ends.append([name, f"{_rounded(users):,}"])
    assumed = [["assumed", ""], ["---"] * 2]
    for of in (habits, machine):
        assumed += [[one.metadata["says"], f"{getattr(of, one.name):g}"] for one in fields(of)]
    made = (assumed, rows, ends)
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in table) for table in made)


def written(page: str, performance: str) -> str:
    """Return the page with its tables made anew, from what both pages say was measured."""
    stored = _STORED.search(page)
    if stored is None:
        raise ValueError("the page does not say what a stored message takes")
    made = tables(
        costs_of_page(performance), float(stored[1].replace(",", "")), Habits(), Machine()
    )
    if not _MARKED.search(page):
        raise ValueError("the page has no place for the tables")
    return _MARKED.sub(f"\n{made}\n\n", page)


def _partitions(number: int | None) -> str:
    return "more than 16" if number is None else str(number)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _rounded(users: float) -> int:
    """Return a number with two digits that count."""
    digits = len(str(int(users))) - 2
    return int(round(users, -digits))


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), PERFORMANCE.read_text()))
