"""Output of the command line: a progress bar on a terminal, plain lines everywhere else."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

#: Between two lines of progress where there is no terminal.
LINE_SECONDS: Final = 5.0
#: Width of a table in characters where there is no terminal.
_PLAIN_WIDTH: Final = 200


def print_line(name: str, text: str) -> None:
    """Print one result: a name, padded to a column, and its text."""
    print(f"{name:<12} {text}", flush=True)  # noqa: T201 - output of the command line


def print_error(text: str) -> None:
    """Print one line about a failure to stderr."""
    print(f"verbatim: {text}", file=sys.stderr, flush=True)  # noqa: T201 - see above


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, or 200 characters wide where there is none."""
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    # Cells may hold text of users: no markup, no emoji names.
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.print(table)


def make_table(*columns: str, left: int = 1) -> Table:
    """Return an empty table; the first `left` columns are aligned left, the others right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if place < left else "right")
    return made


def escape_control(text: str) -> str:
    """Return text with control characters escaped, so that it cannot steer the terminal.

    Line breaks stay.
    """
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text
    )


@contextmanager
def progress(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Show progress towards `total`; yields a function to call once per finished item."""
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
        yield _ProgressLines(name, total).advance


@contextmanager
def byte_progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress through a file of `total` bytes; yields a function to call with bytes read.

    Where there is no terminal, nothing is shown.
    """
    if not sys.stdout.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task(escape_control(name), total=total)
        yield lambda read: bar.advance(task, read)


class _ProgressLines:
    """Progress as one printed line every LINE_SECONDS."""

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
            print_line(self._name, f"{self._done} of {self._total}")


def format_seconds(seconds: float) -> str:
    """Return a duration in milliseconds, or in seconds from 1 s on; NaN and infinity in words."""
    if math.isnan(seconds):
        return "unknown"
    if math.isinf(seconds):
        return "beyond the last bucket"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def format_age(span: timedelta) -> str:
    """Return a duration in its largest unit, from seconds to days; a negative one is 0.0 s."""
    seconds = max(span.total_seconds(), 0.0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
