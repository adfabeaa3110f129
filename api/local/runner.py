"""The one command: `python -m api.local`."""

import asyncio
import sys

from pydantic import ValidationError

from api.core.errors import SettingsError
from api.core.settings import Settings, describe_errors
from api.local import locks
from api.local.console import Console
from api.local.errors import LocalError
from api.local.stack import Stack


def main() -> int:
    """Run a stack until a signal stops it; return the exit code."""
    try:
        settings = Settings()
        directory = settings.verbatim_data_dir.absolute()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = settings.model_copy(update={"verbatim_data_dir": directory})
        with locks.held(directory / "stack.lock"):
            asyncio.run(Stack(settings, Console()).run())
    except ValidationError as error:
        return _refuse(*describe_errors(error))
    except (LocalError, SettingsError, OSError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _refuse(*reasons: str) -> int:
    sys.stderr.writelines(f"error: {reason}\n" for reason in reasons)
    return 1
