"""The schema, brought up to date by Alembic.

Apart from `api.core.database`, so that API and worker processes need not import Alembic.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import URL

from api.core.errors import SettingsError

_MIGRATIONS: Final = Path(__file__).resolve().parents[2] / "alembic"


def migrate(url: URL) -> None:
    """Bring the schema up to date. Two starts at once are safe: env.py takes a lock."""
    command.upgrade(alembic_config(url), "head")


def alembic_config(url: URL) -> Config:
    """Return Alembic's configuration for a database, whatever the working directory is.

    Raises SettingsError where the migrations are missing, as next to an installed package.
    """
    if not (_MIGRATIONS / "env.py").is_file():
        raise SettingsError("the migrations are missing: run Verbatim from its checkout")
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS.as_posix().replace("%", "%%"))
    # An attribute, not an option: options are text, and get printed.
    config.attributes["url"] = url
    return config
