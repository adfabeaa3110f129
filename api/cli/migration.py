"""`verbatim migrate`: bring the schema up to date and create the roles."""

from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from api.core import migrations, roles
from api.core.errors import VerbatimError
from api.core.settings import Settings


class SchemaError(VerbatimError):
    """The database's schema is unknown to this version."""


def upgrade(settings: Settings) -> tuple[list[str], str]:
    """Run the missing migrations; return a line for each change, and the schema's revision now.

    Then create the roles named in the URLs of API and worker, with their passwords.

    Raises SchemaError for a schema of a newer version, SettingsError where no URL is set.
    """
    url = settings.migration_database
    scripts = ScriptDirectory.from_config(migrations.alembic_config(url))
    before = migrations.revision(url)
    try:
        walked = scripts.walk_revisions(before or "base")
        missing = [script for script in walked if script.revision != before]
        migrations.migrate(url)
    except CommandError as error:
        raise SchemaError(f"the schema is at {before}, which this version does not know") from error
    now = migrations.revision(url)
    made = roles.give_logins(
        url, {"verbatim_api": settings.database, "verbatim_worker": settings.worker_database}
    )
    lines = [f"{script.revision} {script.doc}" for script in reversed(missing)]
    return [*lines, *(f"role {name}" for name in made)], now or "nothing"
