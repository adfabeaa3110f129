"""`verbatim dead …`: entries that PostgreSQL would not take, for an operator to settle."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from sqlalchemy import Engine

from api.cli import common as frame
from api.cli import terminal
from api.cli.status import age
from api.operations import dead_letters
from api.operations.dead_letters import DeadLetter, Outcome, State

app = typer.Typer(
    name="dead",
    help="List, show, redrive and discard dead letters: entries that PostgreSQL refuses.\n\n"
    "A dead message keeps its place in its conversation, with empty content, until it is redriven.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

#: More than any list that a person can read, so that filters see all of them.
_ALL = 1_000_000
#: Letters that are shown; all are counted.
_SHOWN = 20
_OUTCOMES: Final[Mapping[State, str]] = {
    "redriven": "redriven",
    "discarded": "discarded with their conversations",
    "dead": "still dead",
}
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

LetterId = Annotated[int, typer.Argument(help="The letter's number, as `dead list` shows it.")]


def _span(text: str) -> timedelta:
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
    """List dead letters, oldest entry first, without their texts.

    \b
    verbatim dead list --reason refused --newer 1h
    verbatim dead list --user 7 --settled
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    now = datetime.now(UTC)
    after = now - _span(newer) if newer else None
    before = now - _span(older) if older else None
    with frame.stack("verbatim-dead") as (_, _, engine):
        found = dead_letters.find(engine, settled=settled, limit=_ALL)
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
    terminal.say("dead letters", f"{len(shown)} of {len(found)}" if found else "none")


def _show_table(letters: list[DeadLetter], now: datetime) -> None:
    table = terminal.table(
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
            age(now - letter.created_at),
        )
    terminal.show(table)


@app.command()
def show(
    letter: LetterId,
    text: Annotated[
        bool, typer.Option("--text", help="Also the payload: somebody's own words.")
    ] = False,
) -> None:
    """Show one dead letter; its payload only if asked for."""
    with frame.stack("verbatim-dead") as (_, _, engine):
        found, payload = dead_letters.show(engine, letter)
    for name in found.__slots__:
        value = getattr(found, name)
        if value is not None:
            terminal.say(name, terminal.harmless(str(value)))
    if text:
        terminal.say("payload", terminal.harmless(payload.decode(errors="backslashreplace")))


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

    A message goes to the place that was kept for it. What is refused again stays dead. One of a
    deleted conversation is discarded.

    \b
    verbatim dead redrive 12
    verbatim dead redrive --all --dry-run

    Exit code 1: at least one is still dead.
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    if every == (letter is not None):
        raise typer.BadParameter("give one letter's number, or --all")
    with frame.stack("verbatim-dead") as (_, _, engine):
        if dry_run:
            letters = dead_letters.find(engine, limit=_ALL)
            _show_dry_run([one for one in letters if letter in {None, one.id}])
            return
        if letter is not None:
            outcomes = [dead_letters.redrive(engine, letter)]
        else:
            outcomes = _redrive_all(engine)
    counted = Counter(outcome.state for outcome in outcomes)
    states = ", ".join(f"{counted[state]} {named}" for state, named in _OUTCOMES.items())
    terminal.say("redrive", states)
    stubborn = [outcome for outcome in outcomes if outcome.state == "dead"]
    for outcome in stubborn[:_SHOWN]:
        terminal.say("still dead", f"{outcome.letter_id}: {outcome.why}")
    if stubborn:
        raise typer.Exit(frame.BAD)


def _show_dry_run(letters: list[DeadLetter]) -> None:
    if letters:
        _show_table(letters, datetime.now(UTC))
    terminal.say("dry run", f"{len(letters)} would be tried; nothing was changed")


def _redrive_all(engine: Engine) -> list[Outcome]:
    total = len(dead_letters.find(engine, limit=_ALL))
    outcomes = []
    with terminal.progress("redriving", total) as advance:
        for outcome in dead_letters.redrive_all(engine):
            outcomes.append(outcome)
            advance()
    return outcomes


@app.command()
def discard(
    letter: LetterId,
    note: Annotated[str, typer.Option(help="Why; kept beside the dead letter.")],
) -> None:
    """Give a dead letter up. Its payload stays, and its place in the conversation stays empty."""
    if not note.strip():
        raise typer.BadParameter("a note that says why is needed")
    with frame.stack("verbatim-dead") as (_, _, engine):
        dead_letters.discard(engine, letter, note)
    terminal.say("discarded", str(letter))
