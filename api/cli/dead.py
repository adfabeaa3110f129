"""`verbatim dead …`: list, redrive and discard entries that PostgreSQL refused."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from sqlalchemy import Engine

from api.cli import common, terminal
from api.core.log import Log
from api.operations import dead_letters
from api.operations.dead_letters import DeadLetter, Outcome, State

app = typer.Typer(
    name="dead",
    help="List, show, redrive and discard dead letters: entries that PostgreSQL refused.\n\n"
    "A dead message keeps its place in its conversation, with empty content, until it is redriven.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

#: Failed letters that are printed; all are counted.
_MAX_SHOWN = 20
_OUTCOMES: Final[Mapping[State, str]] = {
    "redriven": "redriven",
    "discarded": "discarded with their conversations",
    "dead": "still dead",
}
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

LetterId = Annotated[int, typer.Argument(help="The letter's number, as `dead list` shows it.")]


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise typer.BadParameter("must be a number and s, m, h or d, such as 90m")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


@app.command("list")
def list_letters(
    *,
    user: Annotated[int | None, typer.Option(help="Only this user's.")] = None,
    conversation: Annotated[int | None, typer.Option(help="Only of this conversation.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only of this reason.")] = None,
    older: Annotated[str | None, typer.Option(help="Only dead for longer, such as 90m.")] = None,
    newer: Annotated[str | None, typer.Option(help="Only dead for less long, such as 2d.")] = None,
    settled: Annotated[
        bool, typer.Option("--settled", help="Also redriven and discarded ones.")
    ] = False,
) -> None:
    """List dead letters, oldest entry first, without their payloads.

    \b
    verbatim dead list --reason refused --newer 1h
    verbatim dead list --user 7 --settled
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    now = datetime.now(UTC)
    after = now - _duration(newer) if newer else None
    before = now - _duration(older) if older else None
    with common.open_stores("verbatim-dead") as (_, _, engine):
        found = dead_letters.find(engine, settled=settled)
    shown = [
        letter
        for letter in found
        if user in {None, letter.user_id}
        and conversation in {None, letter.conversation_id}
        and reason in {None, letter.reason}
        and (after is None or letter.created_at >= after)
        and (before is None or letter.created_at < before)
    ]
    if shown:
        _show_table(shown, now)
    terminal.print_line("dead letters", f"{len(shown)} of {len(found)}" if found else "none")


def _show_table(letters: list[DeadLetter], now: datetime) -> None:
    table = terminal.make_table(
        *(
            "letter",
            "entry",
            "state",
            "op",
            "reason",
            "sqlstate",
            "user",
            "conversation",
            "position",
        ),
        *("bytes", "age"),
        left=6,
    )
    for letter in letters:
        table.add_row(
            str(letter.id),
            str(letter.entry_id),
            letter.state,
            letter.op,
            letter.reason,
            letter.sqlstate or "",
            str(letter.user_id),
            str(letter.conversation_id),
            str(letter.position or ""),
            str(letter.payload_bytes),
            terminal.format_age(now - letter.created_at),
        )
    terminal.print_table(table)


@app.command()
def show(
    letter: LetterId,
    text: Annotated[
        bool, typer.Option("--text", help="Also the payload, which is text of a user.")
    ] = False,
) -> None:
    """Show one dead letter; its payload only if asked for."""
    with common.open_stores("verbatim-dead") as (_, _, engine):
        found, payload = dead_letters.get(engine, letter)
    for name in found.__slots__:
        value = getattr(found, name)
        if value is not None:
            terminal.print_line(name, terminal.escape_control(str(value)))
    if text:
        terminal.print_line(
            "payload", terminal.escape_control(payload.decode(errors="backslashreplace"))
        )


@app.command()
def redrive(
    letter: Annotated[int | None, typer.Argument(help="The letter's number.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All, in the order of their entries.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which would be tried.")
    ] = False,
) -> None:
    """Try to apply one dead letter again, or all of them.

    A message goes to the place that was kept for it. An edit, a cut or a copy is applied where what
    it changes was not changed since. What is refused again stays dead. One of a deleted
    conversation is discarded.

    \b
    verbatim dead redrive 12
    verbatim dead redrive --all --dry-run

    Exit code 1: at least one is still dead.
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    if every == (letter is not None):
        raise typer.BadParameter("give one letter's number, or --all")
    with common.open_stores("verbatim-dead") as (_, log, engine):
        if dry_run:
            letters = dead_letters.find(engine)
            _show_dry_run([one for one in letters if letter in {None, one.id}])
            return
        if letter is not None:
            outcomes = [dead_letters.redrive(engine, log, letter)]
        else:
            outcomes = _redrive_all(engine, log)
    counted = Counter(outcome.state for outcome in outcomes)
    states = ", ".join(f"{counted[state]} {named}" for state, named in _OUTCOMES.items())
    terminal.print_line("redrive", states)
    failed = [outcome for outcome in outcomes if outcome.state == "dead"]
    for outcome in failed[:_MAX_SHOWN]:
        terminal.print_line("still dead", f"{outcome.letter_id}: {outcome.why}")
    if failed:
        raise typer.Exit(common.EXIT_PROBLEM)


def _show_dry_run(letters: list[DeadLetter]) -> None:
    if letters:
        _show_table(letters, datetime.now(UTC))
    terminal.print_line("dry run", f"{len(letters)} would be tried; nothing was changed")


def _redrive_all(engine: Engine, log: Log) -> list[Outcome]:
    total = len(dead_letters.find(engine))
    outcomes = []
    with terminal.progress("redriving", total) as advance:
        for outcome in dead_letters.redrive_all(engine, log):
            outcomes.append(outcome)
            advance()
    return outcomes


@app.command()
def discard(
    letter: LetterId,
    note: Annotated[str, typer.Option(help="Why; kept beside the dead letter.")],
) -> None:
    """Discard a dead letter. Its payload stays, and its place in the conversation stays empty."""
    if not note.strip():
        raise typer.BadParameter("a note that says why is needed")
    with common.open_stores("verbatim-dead") as (_, _, engine):
        dead_letters.discard(engine, letter, note)
    terminal.print_line("discarded", str(letter))
