"""How the command line speaks: a bar where somebody watches, plain lines where nobody does."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

#: Seconds between two lines of progress where there is no terminal.
LINE_SECONDS: Final = 5.0


def say(name: str, text: str) -> None:
    """Print one finding, under its name."""
    print(f"{name:<12} {text}", flush=True)  # noqa: T201 - the command line's own voice


def complain(text: str) -> None:
    """Print one line about what went wrong."""
    print(f"verbatim: {text}", file=sys.stderr, flush=True)  # noqa: T201 - see above


def show(table: Table) -> None:
    """Print a table, no wider than the terminal; whole where there is none."""
    width = None if sys.stdout.isatty() else 200
    # Cells may hold what people wrote: no markup, no emoji names.
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.print(table)


def table(*columns: str, left: int = 1) -> Table:
    """Make a table: the first columns to the left, numbers to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if place < left else "right")
    return made


def harmless(text: str) -> str:
    """Return foreign text without what would steer the terminal; line breaks stay."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


@contextmanager
def progress(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how far something is; call what this yields once per thing that is done."""
    if sys.stdout.isatty():
        with Progress(
            TextColumn(f"{name:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            transient=True,
        ) as bar:
            task = bar.add_task(name, total=total)
            yield lambda: bar.advance(task)
    else:
        yield _Lines(name, total).advance


class _Lines:
    """Progress as a line now and then."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._done = 0
        self._next_at = time.monotonic() + LINE_SECONDS

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + LINE_SECONDS
            say(self._name, f"{self._done} of {self._total}")


def milliseconds(seconds: float) -> str:
    """Write a time the way lags are read."""
    if math.isnan(seconds):
        return "unknown"
    if math.isinf(seconds):
        return "beyond the last bucket"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
