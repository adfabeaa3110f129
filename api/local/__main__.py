"""Run a whole stack: `python -m api.local`."""

import asyncio
import signal
import sys
from collections.abc import Iterable

from pydantic import ValidationError

from api.core.errors import SettingsError
from api.core.settings import Settings, describe_errors
from api.local import locks
from api.local.console import Console
from api.local.errors import LocalError
from api.local.stack import Stack


def main() -> int:
    """Run a stack until a signal stops it; return the exit code."""
    # A shell has its background jobs ignore SIGINT; sent to a stack, it is meant.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console()
    try:
        settings = Settings()
        directory = settings.verbatim_data_dir.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = settings.model_copy(update={"verbatim_data_dir": directory})
        with locks.held(directory / "stack.lock"):
            asyncio.run(Stack(settings, console).run())
    except ValidationError as error:
        return _refuse(describe_errors(error))
    except (LocalError, SettingsError, OSError) as error:
        return _refuse([str(error)])
    except KeyboardInterrupt:
        return 130
    finally:
        console.close()
    return 0


def _refuse(reasons: Iterable[str]) -> int:
    errors = Console(sys.stderr.fileno())
    for reason in reasons:
        errors.line(f"error: {reason}")
    errors.close()
    return 1


sys.exit(main())
