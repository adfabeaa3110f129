"""Where the stack of a data directory is, for commands without URLs in their settings."""

from pathlib import Path

from pydantic import SecretStr

from api.core.settings import Settings
from api.local import logins
from api.local.postgres import EmbeddedPostgres
from api.local.redis import EmbeddedRedis
from api.local.server import EmbeddedServer


class _Kept(EmbeddedServer):
    """A server that another process runs: its port is what it wrote down, taken or not."""

    @property
    def port(self) -> int:
        return int((self.directory / "port").read_text())


class _Postgres(_Kept, EmbeddedPostgres):
    secret = "verbatim.password"  # noqa: S105 - the name of its file


class _Redis(_Kept, EmbeddedRedis):
    secret = "password"  # noqa: S105 - the name of its file


def completed(settings: Settings) -> Settings:
    """Return the settings with what the stack in their data directory decided, where none are set.

    Nothing is made or started: a server that never ran there stays without a URL.
    """
    directory: Path = settings.verbatim_data_dir
    found: dict[str, str | SecretStr | None] = {}
    if not settings.database_url:
        postgres = _Postgres(directory / "postgres")
        if _ran(postgres, postgres.secret):
            # As in `stack`: URLs for other roles belong to another database.
            found |= {"database_url": postgres.url}
            found |= {"database_direct_url": None, "worker_database_url": None}
            found |= {"read_database_url": None}
            given = settings.model_copy(update=found)
            if logins.needs_roles(given):
                found |= logins.urls(directory, given.migration_database)
    if not settings.redis_url:
        redis = _Redis(directory / "redis")
        if _ran(redis, redis.secret):
            found |= {"redis_url": redis.url}
    key = directory / "secret_key"
    if settings.secret_key is None and found and key.is_file():
        found |= {"secret_key": SecretStr(key.read_text())}
    return settings.model_copy(update=found)


def _ran(server: EmbeddedServer, secret: str) -> bool:
    return all((server.directory / name).is_file() for name in ("port", secret))
