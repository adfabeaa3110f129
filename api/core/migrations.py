"""Migrations of the schema, by Alembic.

A module of its own, so that API and worker processes need not import Alembic.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import URL

from api.core import database
from api.core.errors import SettingsError

MIGRATIONS: Final = Path(__file__).resolve().parents[2] / "alembic"


def migrate(url: URL) -> None:
    """Bring the schema up to date; safe to run several times at once, since env.py takes a lock.

    Raises SettingsError, alembic's CommandError, or SQLAlchemy's SQLAlchemyError.
    """
    command.upgrade(alembic_config(url), "head")


def revision(url: URL) -> str | None:
    """Return the revision that a database's schema is at, None for an empty database.

    Raises SQLAlchemy's SQLAlchemyError if the server does not answer, or does not show it.
    """
    engine = database.make_engine(url, application_name="verbatim-cli", pool_size=1)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def alembic_config(url: URL) -> Config:
    """Return Alembic's configuration for a database, in any working directory.

    Raises SettingsError if the migrations are missing, as beside an installed package.
    """
    if not (MIGRATIONS / "env.py").is_file():
        raise SettingsError("the migrations are missing: run Verbatim from its checkout")
    config = Config()
    config.set_main_option("script_location", MIGRATIONS.as_posix().replace("%", "%%"))
    # An attribute, not an option: options get printed, and this one contains a password.
    config.attributes["url"] = url
    return config
