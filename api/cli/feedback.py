"""`verbatim feedback export`: what owners said of answers, as JSON lines or CSV."""

import csv
import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import typer

from api.cli import common, terminal
from api.operations import feedback

app = typer.Typer(
    name="feedback",
    help="Export what people said of answers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Keep `export` a command of its own."""


@app.command()
def export(
    form: Annotated[
        Literal["jsonl", "csv"], typer.Option("--format", help="JSON lines, or CSV.")
    ] = "jsonl",
    *,
    with_text: Annotated[
        bool,
        typer.Option("--with-text", help="Also the answer, and the message right before it."),
    ] = False,
) -> None:
    """Write each rating to standard output: when, up or down, the comment, the model, ids.

    No name, address or id of a user is in it. Comments are people's own words, and may say
    anything. What their messages say is left out unless you ask for it.

    \b
    verbatim feedback export > ratings.jsonl
    verbatim feedback export --format csv --with-text > ratings.csv
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    with common.open_stores("verbatim-feedback") as (_, _, engine):
        rows = feedback.rated(engine, with_text=with_text)
        written = _csv(rows, with_text=with_text) if form == "csv" else _lines(rows)
    terminal.print_error(f"{written} ratings")


def _lines(rows: Iterable[dict[str, Any]]) -> int:
    written = 0
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        written += 1
    return written


def _csv(rows: Iterable[dict[str, Any]], *, with_text: bool) -> int:
    fields = [*feedback.FIELDS, *(feedback.TEXTS if with_text else ())]
    table = csv.DictWriter(sys.stdout, fields)
    table.writeheader()
    written = 0
    for row in rows:
        table.writerow({name: _cell(value) for name, value in row.items()})
        written += 1
    return written


def _cell(value: Any) -> Any:
    """Return a cell that no program for tables takes for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
