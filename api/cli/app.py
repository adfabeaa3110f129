"""The commands of `verbatim`: their options and help; the work is in other modules."""

import asyncio
import math
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from api.cli import (
    balances,
    common,
    dead,
    doctor,
    exchange,
    feedback,
    keys,
    log_memory,
    migration,
    restored,
    terminal,
)
from api.cli.mcp import command as mcp_command
from api.cli.replay import dialogues
from api.cli.replay.client import ReplayClient
from api.cli.replay.run import Rate, Replay
from api.cli.status import report
from api.core.log import Log
from api.core.settings import load

app = typer.Typer(
    name="verbatim",
    cls=common.CommandGroup,
    help="Operate Verbatim: the schema, the log, dead letters, API keys, and a proof by replay.\n\n"
    + common.EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(dead.app)
app.command("import")(exchange.import_files)
app.command()(exchange.export)
app.add_typer(keys.app)
app.command()(mcp_command.mcp)
app.add_typer(feedback.app)
app.command()(doctor.doctor)


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date.

    Connects by DATABASE_DIRECT_URL, or else by DATABASE_URL. Then creates the roles named in
    DATABASE_URL and WORKER_DATABASE_URL, unless they are the owner's. Safe to repeat, and to run
    several times at once.
    """
    done, revision = migration.upgrade(common.find_settings())
    for line in done:
        terminal.print_line("migrated", line)
    terminal.print_line("schema", f"at {revision}" + ("" if done else ", nothing was missing"))


def _rate(text: str) -> Rate:
    """Parse `--rate`: a number, `steady` or `max` (None). Raises typer.BadParameter."""
    if text == "steady":
        return "steady"
    if text == "max":
        return None
    with suppress(ValueError):
        if 0 < (rate := float(text)) < math.inf:
            return rate
    raise typer.BadParameter("must be a positive number, steady, or max")


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="JSON lines, each with a list of messages.")],
    url: Annotated[
        str | None, typer.Option(help="The server. Default: the one at HOST and PORT.")
    ] = None,
    rate: Annotated[
        str,
        typer.Option(
            help="Messages per second; or `steady`: measures the saturation first, then sends "
            "at 500 or at 60 % of that, whichever is less; or `max`."
        ),
    ] = "steady",
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="Conversations at once.")] = 32,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first LIMIT dialogues.")
    ] = None,
) -> None:
    """Send dialogues through a running server, read them back, compare.

    Registers a throw-away user. Every write has an Idempotency-Key; a write that was refused
    temporarily (429, 503) or whose outcome is unknown is retried for up to two minutes. Then each
    conversation is read back and compared: number, order, roles, contents, ids. The lag comes from
    the server's /metrics, so it includes writes of other users.

    \b
    verbatim replay dialogues.jsonl
    verbatim replay dialogues.jsonl --rate 200 --concurrency 50
    verbatim replay dialogues.jsonl --url http://127.0.0.1:8123 --limit 20

    Exit code 1: a message is different, or missing.
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    per_second = _rate(rate)
    settings = load()
    found = dialogues.read(file, limit)
    token = settings.metrics_token

    async def run() -> bool:
        async with ReplayClient(
            url or common.default_url(settings),
            connections=concurrency,
            metrics_token=token.get_secret_value() if token else None,
        ) as client:
            return await Replay(client, found, per_second, concurrency).run()

    if not asyncio.run(run()):
        raise typer.Exit(common.EXIT_PROBLEM)


@app.command()
def status(
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Also the log's memory in Redis; scans all of its keys."),
    ] = False,
) -> None:
    """Show backlog, age of the oldest entry, lag, dead letters.

    Asks Redis, PostgreSQL and its standby separately: while one is down, it shows the others' part.

    Exit code 1: one of them does not answer.
    """
    with (
        common.open_stores("verbatim-status") as (_, log, engine),
        common.open_standby("verbatim-status") as standby,
    ):
        answered = report(log, engine, standby, common.find_settings().redis_replicas)
        if memory:
            _report_memory(log)
    if not answered:
        raise typer.Exit(common.EXIT_PROBLEM)


def _report_memory(log: Log) -> None:
    held = log_memory.streams_bytes(log)
    terminal.print_line("memory", f"{held} bytes in the 16 logs (MEMORY USAGE, which samples)")
    for kind in log_memory.expiring(log):
        terminal.print_line(
            "apart",
            f"{kind.name}: {kind.keys} keys, about {kind.bytes} bytes, {kind.ttl_share:.0%} with a "
            f"TTL now (size and TTL of {kind.sampled} of them, scaled up)",
        )


@app.command()
def audit(
    acknowledge: Annotated[
        bool,
        typer.Option(
            "--acknowledge",
            help="Take it as known that the log began anew or went back: report it no more.",
        ),
    ] = False,
) -> None:
    """Check that every entry that was ever accepted is accounted for.

    Per partition: accepted = applied + dead + discarded + pending, read under its lock. The server
    may run meanwhile.

    Exit code 1: a partition does not balance, or the log began anew or went back in time, so that
    what it had accepted is not known.
    """
    with common.open_stores("verbatim-audit") as (_, log, engine):
        if acknowledge:
            log.acknowledge_going_back()
        is_well = balances.report(log, engine)
    if not is_well:
        raise typer.Exit(common.EXIT_PROBLEM)


@app.command("restored")
def after_restore(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Go on after PostgreSQL, or Redis, went back in time: a restore, a failover that lagged.

    Shows what is missing, and what it will do; asks; then counts anew, forgets what points to lost
    rows, ends all sign-in sessions, and says what is lost. Where the log still has all that
    PostgreSQL lacks, nothing is to be done: drains write it again. APIs and workers may run.

    Exit code 1: the answer was no.
    """
    restored.run(yes=yes)


def main() -> None:
    """Run the command line; exits the process."""
    app()


if __name__ == "__main__":
    main()
