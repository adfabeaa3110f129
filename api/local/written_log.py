"""The log that a stack has written: a file in the data folder tells when it is lost.

A Redis that lost the log looks like one that never had it, and a new log begins silently: accepted
messages that PostgreSQL did not have yet would be gone without a word. The file is beside the
servers' folders, so that it outlives each of them.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from api.core import database, redis_client
from api.core.bind import open_log
from api.core.errors import (
    DatabaseWentBackError,
    OldLogError,
    Unavailable,
    WrongDatabaseError,
)
from api.core.log import Log
from api.core.settings import Settings
from api.local import data_dir
from api.local.errors import LocalError
from api.local.server import EmbeddedServer

_FILE: Final = "log.json"


def refuse_without_data(directory: Path, servers: Iterable[EmbeddedServer]) -> None:
    """Raise LocalError if a server of a stack that has run has no data any more; makes nothing."""
    marker = directory / _FILE
    if not marker.exists():
        return
    for server in servers:
        if not server.has_data():
            raise LocalError(
                f"{server.data} is gone, and with it {server.holds}: put it back from a copy, or "
                f"name another VERBATIM_DATA_DIR; to go on without it, delete {marker}"
            )


def open_written(settings: Settings) -> None:
    """Open the log, and remember that it is written to from now on.

    Raises LocalError if Redis has no log, though this stack has written one under this name, or
    has that of another database; DatabaseWentBackError if PostgreSQL lacks what it had.
    """
    marker = settings.verbatim_data_dir / _FILE
    engine = database.make_engine(
        settings.migration_database, application_name="verbatim-start", pool_size=1
    )
    try:
        with redis_client.connect(settings, "verbatim-start") as redis:
            log = Log(redis, settings.log_namespace)
            is_new = log.marks([0]).database_id is None and not log.has_old_names()
            if is_new and _written(marker) == settings.log_namespace:
                raise LocalError(
                    f"the log '{settings.log_namespace}' is not in this Redis, though {marker} "
                    "says that it was written: put the data of Redis back from a copy, or set "
                    "REDIS_URL to where the log is; to go on without the messages that were in it, "
                    f"delete {marker}"
                )
            open_log(log, engine, settings.database_identity)
    except DatabaseWentBackError:
        raise
    except (WrongDatabaseError, OldLogError, Unavailable, RedisError) as error:
        raise LocalError(f"the log cannot be opened: {error}") from error
    finally:
        engine.dispose()
    if _written(marker) != settings.log_namespace:
        data_dir.write_privately(marker, json.dumps({"namespace": settings.log_namespace}) + "\n")


def _written(marker: Path) -> str | None:
    """Return the namespace of the log that was written; None where there was none."""
    return str(json.loads(marker.read_text())["namespace"]) if marker.exists() else None
