"""What all commands share: settings, exit codes, connections, one-line error messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from typer.core import TyperGroup

from api.cli import terminal
from api.core import database, redis_client
from api.core.errors import VerbatimError
from api.core.log import Log
from api.core.log_servers import LogServers
from api.core.settings import Settings, load
from api.local import discover
from api.local.addresses import client_url

#: The command worked and found a problem: a difference, an unbalanced audit, a server down.
EXIT_PROBLEM: Final = 1
#: The command could not do its work: an invalid setting, a server that is unreachable.
EXIT_FAILED: Final = 3

EXIT_CODES: Final = """\
\b
Exit codes: 0 all is well; 1 the command found a problem; 2 the command line
is invalid; 3 the command could not do its work (settings, servers)."""


class CommandGroup(TyperGroup):
    """Commands whose expected failures are one line on stderr, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command. Raises typer.Exit(EXIT_FAILED) for an expected failure."""
        try:
            return super().invoke(ctx)
        except VerbatimError as error:
            reason = str(error)
        except RedisError as error:
            reason = f"Redis does not answer as it should: {type(error).__name__}"
        except SQLAlchemyError as error:
            # Its text would quote the statement and, for some, its values.
            reason = f"PostgreSQL does not answer as it should: {type(error).__name__}"
        except BrokenPipeError:
            raise  # the reader closed the pipe (`| head`); Typer exits quietly
        except OSError as error:
            reason = str(error)
        terminal.print_error(reason)
        raise typer.Exit(EXIT_FAILED)


def find_settings() -> Settings:
    """Return the settings; URLs that are not set are those of the stack in the data directory."""
    return discover.completed(load())


def default_url(settings: Settings) -> str:
    """Return the URL of the server that runs with these settings on this machine."""
    return client_url(settings.host, settings.port)


@contextmanager
def open_stores(
    name: str, *, of_accounts: bool = False
) -> Iterator[tuple[LogServers, Log, Engine]]:
    """Yield the servers of the log, the log and PostgreSQL, and close them at the end.

    `name` is what the servers show for these connections. PostgreSQL is opened as a worker does, or
    with `of_accounts` as the API does. Nothing is connected before its first use. Raises
    SettingsError where a URL is not set.
    """
    settings = find_settings()
    url = settings.database if of_accounts else settings.worker_database
    engine = database.make_engine(url, application_name=name, pool_size=1)
    try:
        with redis_client.connect(settings, name) as redis:
            yield redis, Log(redis, settings.log_namespace), engine
    finally:
        engine.dispose()


@contextmanager
def open_standby(name: str) -> Iterator[Engine | None]:
    """Yield the standby that history is read from, likewise; None where there is none."""
    url = find_settings().read_database
    if url is None:
        yield None
        return
    engine = database.make_engine(url, application_name=name, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()
