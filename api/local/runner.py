"""The one command: `python -m api.local`."""

import asyncio
import sys

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from api.core.errors import SettingsError
from api.core.settings import Settings
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
        return _refuse(*map(_described, error.errors(include_input=False, include_url=False)))
    except (LocalError, SettingsError, OSError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _described(problem: ErrorDetails) -> str:
    """Name the setting. Pydantic's own text quotes the value, and that may be a secret."""
    name = "".join(f"{part}: " for part in problem["loc"]).upper()
    return f"{name}{problem['msg']}"


def _refuse(*reasons: str) -> int:
    sys.stderr.writelines(f"error: {reason}\n" for reason in reasons)
    return 1
