"""`verbatim restored`: go on after PostgreSQL, or Redis, went back in time."""

from datetime import UTC, datetime
from typing import Final

import typer

from api.cli import common, terminal
from api.core import database
from api.core.log import Log
from api.core.settings import Settings
from api.operations import restored

_WILL: Final = "forget recent turns, and take it as known"
_WILL_OF_POSTGRESQL: Final = (
    "count anew, so that drains go on with what the log still has, and the audit balances",
    "forget what keys of requests, conversations and external ids point to what is lost",
    "end all sign-in sessions and shared links, and API keys that were revoked within the last day",
)


def run(*, yes: bool) -> None:
    """Show what is missing, ask, mend it."""
    settings = common.find_settings()
    with common.open_stores("verbatim-restored") as (_, log, engine):
        found = restored.look(log, engine)
        if not found.went_back:
            terminal.print_line("restored", "nothing is missing: there is nothing to do")
            return
        _report(found)
        for what in (_WILL, *(_WILL_OF_POSTGRESQL if found.gaps else ())):
            terminal.print_line("it will", what)
        if not yes and not typer.confirm("Go on without what is lost?"):
            raise typer.Exit(common.EXIT_PROBLEM)
        if found.gaps:
            _end_sessions(settings, log)
        found = restored.mend(log, engine)
    if found.gaps:
        terminal.print_line("lost", f"{found.lost} entries")
        terminal.print_line("drained again", f"{found.kept} entries, by the next drain")
    terminal.print_line("restored", "start what does not run; then `verbatim audit`")


def _end_sessions(settings: Settings, log: Log) -> None:
    """End what was ended since; before anything goes on."""
    owner = database.make_engine(
        settings.migration_database, application_name="verbatim-restored", pool_size=1
    )
    try:
        token_seconds = settings.access_token_minutes * 60
        sessions, keys, links = restored.end_sessions(log, owner, token_seconds)
    finally:
        owner.dispose()
    terminal.print_line("ended", f"{sessions} sessions, {keys} API keys, {links} shared links")


def _report(found: restored.Found) -> None:
    if found.log_went_back_at_ms is not None:
        terminal.print_line(
            "redis",
            f"on {_time(found.log_went_back_at_ms)} the log was found to have begun anew, or to "
            "lack entries; how many it had beside those in PostgreSQL is not known",
        )
    if found.gaps:
        named = ", ".join(map(str, found.gaps))
        terminal.print_line(
            "postgresql",
            f"went back in partitions {named}: {found.kept} entries are in the log still, "
            f"{found.lost} are lost",
        )
    if found.lost:
        first, last = found.period_ms()
        terminal.print_line("lost", f"accepted between {_time(first)} and {_time(last)}")
        for conversation, owner in sorted(found.conversations.items()):
            terminal.print_line("lost in", f"conversation {conversation} of user {owner}")
    for user in sorted(found.deleted_users):
        terminal.print_line(
            "deleted", f"user {user}: within a day; if the account is back, delete it again"
        )


def _time(ms: float) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
