"""What every command has in common: settings, exit codes, failures told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from typer.core import TyperGroup

from api.cli import terminal
from api.core import database, redis_client
from api.core.errors import VerbatimError
from api.core.log import Log
from api.core.settings import Settings
from api.local import discover

#: What was looked at is not as it should be: a difference, an unbalanced audit, a part down.
BAD: Final = 1
#: The command could not do its work: a senseless setting, a server out of reach.
FAILED: Final = 3

EXIT_CODES: Final = """\
\b
Exit codes: 0 all is well; 1 what was asked about is not; 2 the command line
makes no sense; 3 the command could not do its work (settings, servers)."""


class Group(TyperGroup):
    """Commands whose expected failures are one line on stderr, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
            reasons = "; ".join(map(_described, problems))
        except VerbatimError as error:
            reasons = str(error)
        except RedisError as error:
            reasons = f"Redis does not answer as it should: {type(error).__name__}"
        except SQLAlchemyError as error:
            # Its text would quote the statement and, for some, its values.
            reasons = f"PostgreSQL does not answer as it should: {type(error).__name__}"
        except BrokenPipeError:
            raise  # whoever read our output has seen enough; Typer knows what to do
        except OSError as error:
            reasons = str(error)
        terminal.complain(reasons)
        raise typer.Exit(FAILED)


def settings() -> Settings:
    """Return the settings, with the running stack of the data directory where no URL is set."""
    return discover.completed(Settings())


@contextmanager
def stack(name: str) -> Iterator[tuple[Redis, Log, Engine]]:
    """Open what an operator's command looks at; nothing is connected before it is used."""
    chosen = settings()
    engine = database.make_engine(chosen.worker_database, application_name=name, pool_size=1)
    try:
        with redis_client.connect(chosen, name) as redis:
            yield redis, Log(redis, chosen.log_namespace), engine
    finally:
        engine.dispose()


def _described(problem: ErrorDetails) -> str:
    """Name the setting. Pydantic's own text quotes the value, and that may be a secret."""
    name = "_".join(map(str, problem["loc"])).upper()
    return f"{name}: {problem['msg']}" if name else problem["msg"]
