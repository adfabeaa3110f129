"""Runs the migrations: from `api.core.migrations.migrate`, or by the `alembic` command.

The URL comes from the caller, else from the settings; it is never logged.
"""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from api.core.database import CONNECT_TIMEOUT_SECONDS
from api.core.errors import SettingsError
from api.core.models.base import Base
from api.core.settings import Settings

#: The key of the advisory lock that all migrations take: "verbatim" in ASCII.
MIGRATION_LOCK = int.from_bytes(b"verbatim", "big")


def run_offline() -> None:
    """Print the SQL instead of running it (`alembic upgrade head --sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run all migrations in one transaction, under a lock that other processes wait for."""
    url: URL = context.config.attributes.get("url") or Settings().migration_database
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "application_name": "verbatim-migrate",
            "client_encoding": "utf8",
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        },
    )
    with engine.begin() as connection:
        if connection.scalar(text("SHOW server_encoding")) != "UTF8":
            raise SettingsError("the database's encoding must be UTF8, or messages cannot be kept")
        # A lock of the transaction, not of the session: it works through a pooler. The revision
        # is read after it, so a process that waited here finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.configure(
            connection=connection, target_metadata=Base.metadata, compare_server_default=True
        )
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
