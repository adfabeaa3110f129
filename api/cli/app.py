"""`verbatim …`: the command line for operators."""

import asyncio
import math
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from redis import Redis

from api.cli import common as frame
from api.cli import dead, log_memory, migration, terminal
from api.cli.replay import dialogues
from api.cli.replay.client import ReplayClient
from api.cli.replay.run import Rate, Replay
from api.cli.status import report
from api.core.log import Log
from api.core.settings import Settings
from api.local.programs import base_url
from api.operations.audit import audit as weigh

app = typer.Typer(
    name="verbatim",
    cls=frame.Group,
    help="Operate Verbatim: the schema, the log, dead letters, and a proof by replay.\n\n"
    + frame.EXIT_CODES,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(dead.app)

#: An address to listen on is none to connect to.
_CONNECTABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date.

    Uses DATABASE_DIRECT_URL, or DATABASE_URL. Then makes the roles that DATABASE_URL and
    WORKER_DATABASE_URL name, where they are others than the owner's. Safe to repeat, and to run
    twice at once.
    """
    done, revision = migration.upgrade(frame.settings())
    for line in done:
        terminal.say("migrated", line)
    terminal.say("schema", f"at {revision}" + ("" if done else ", nothing was missing"))


def _rate(text: str) -> Rate:
    """Read `--rate`: a number, `steady` or `max`."""
    if text == "steady":
        return "steady"
    if text == "max":
        return None
    with suppress(ValueError):
        if 0 < (rate := float(text)) < math.inf:
            return rate
    raise typer.BadParameter("must be a positive number, steady, or max")


def _default_url(settings: Settings) -> str:
    return base_url(_CONNECTABLE.get(settings.host, settings.host), settings.port)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="JSON lines, each with a list of messages.")],
    url: Annotated[
        str | None, typer.Option(help="The server. Default: the one at HOST and PORT.")
    ] = None,
    rate: Annotated[
        str,
        typer.Option(
            help="Messages a second; or `steady`: measures the saturation first, then keeps to "
            "500 or to 60 % of that, whichever is less; or `max`."
        ),
    ] = "steady",
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="Conversations at once.")] = 32,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many dialogues.")
    ] = None,
) -> None:
    """Send dialogues through a running server, read them back, compare.

    Registers a throw-away user. Every write has an Idempotency-Key; what was refused for now (429,
    503) or has an unknown outcome is repeated, for up to two minutes. Then each conversation is
    read back and compared: number, order, roles, contents, ids. The lag comes from the server's
    own /metrics: it includes what others write meanwhile.

    \b
    verbatim replay dialogues.jsonl
    verbatim replay dialogues.jsonl --rate 200 --concurrency 50
    verbatim replay dialogues.jsonl --url http://127.0.0.1:8123 --limit 20

    Exit code 1: something came back different, or did not come back.
    """  # noqa: D301 - the backspace keeps the lines of an example apart
    per_second = _rate(rate)
    settings = Settings()
    found = dialogues.read(file, limit)
    token = settings.metrics_token

    async def run() -> bool:
        async with ReplayClient(
            url or _default_url(settings),
            connections=concurrency,
            metrics_token=token.get_secret_value() if token else None,
        ) as client:
            return await Replay(client, found, per_second, concurrency).run()

    if not asyncio.run(run()):
        raise typer.Exit(frame.BAD)


@app.command()
def status(
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Also what the log takes in Redis; scans all of its keys."),
    ] = False,
) -> None:
    """Show backlog, age of the oldest entry, lag, dead letters.

    Asks Redis and PostgreSQL, each by itself: with one of them down it shows what the other knows.

    Exit code 1: one of them does not answer.
    """
    with frame.stack("verbatim-status") as (redis, log, engine):
        answered = report(log, engine)
        if memory:
            _report_memory(redis, log)
    if not answered:
        raise typer.Exit(frame.BAD)


def _report_memory(redis: Redis, log: Log) -> None:
    held = log_memory.streams_bytes(redis, log)
    terminal.say("memory", f"{held} bytes in the 16 logs (MEMORY USAGE, which samples)")
    for kind in log_memory.expiring(redis, log):
        terminal.say(
            "apart",
            f"{kind.name}: {kind.keys} keys, about {kind.bytes} bytes, {kind.ttl_share:.0%} with a "
            f"TTL now (size and TTL of {kind.sampled} of them, scaled up)",
        )


@app.command()
def audit() -> None:
    """Check that everything ever accepted is accounted for.

    Per partition: accepted = applied + dead + discarded + pending, read under its lock. Drains and
    accepts go on meanwhile.

    Exit code 1: a partition does not balance.
    """
    with frame.stack("verbatim-audit") as (_, log, engine):
        balances = weigh(log, engine)
    table = terminal.table(
        "partition", "accepted", "applied", "dead", "discarded", "pending", "unaccounted", left=0
    )
    for balance in balances:
        table.add_row(
            str(balance.partition),
            "closed" if balance.accepted is None else str(balance.accepted),
            *map(str, (balance.applied, balance.dead, balance.discarded, balance.pending)),
            "" if balance.balanced else str((balance.accepted or 0) - balance.accounted),
        )
    terminal.show(table)
    wrong = [str(balance.partition) for balance in balances if not balance.balanced]
    if wrong:
        terminal.say("audit", f"DOES NOT BALANCE in partition {', '.join(wrong)}")
        raise typer.Exit(frame.BAD)
    total = sum(balance.accepted or 0 for balance in balances)
    terminal.say("audit", f"balances: {total} entries accepted, all accounted for")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
