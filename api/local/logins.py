"""The roles of a stack's own API and worker, beside the owner of the database it was given.

Their names carry a mark of the data directory: two stacks may share a cluster, whose roles are
shared, and must not change each other's passwords.
"""

import secrets
from pathlib import Path

from sqlalchemy.engine import URL

from api.core.settings import Settings
from api.local import data_dir

_DIRECTORY = "roles"
#: The setting that names each role's URL.
_ROLES = {"api": "database_url", "worker": "worker_database_url"}


def needs_roles(settings: Settings) -> bool:
    """Return whether the settings name one role only, the owner's: the stack makes the others."""
    if settings.row_security == "unchecked" or settings.worker_database_url:
        return False
    return settings.migration_database.username == settings.database.username


def urls(directory: Path, owner: URL, reached_at: URL | None = None) -> dict[str, str]:
    """Return the settings that name owner, API and worker; make their passwords the first time.

    API and worker reach the database where the owner does, or at another place (a pooler).
    """
    kept = directory / _DIRECTORY
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = kept / "mark"
    if not mark.exists():
        data_dir.write_privately(mark, secrets.token_hex(4))
    found = {"database_direct_url": _text(owner)}
    for role, setting in _ROLES.items():
        password = data_dir.secret(kept / f"{role}.password")
        name = f"verbatim_{role}_{mark.read_text()}"
        found[setting] = _text((reached_at or owner).set(username=name, password=password))
    return found


def completed(directory: Path, settings: Settings) -> Settings:
    """Return the settings with separate roles for API and worker, if the stack makes them."""
    if not needs_roles(settings):
        return settings
    return settings.model_copy(
        update=urls(directory, settings.migration_database, settings.database)
    )


def _text(url: URL) -> str:
    """Return a URL in the form that every client reads, SQLAlchemy or not."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
