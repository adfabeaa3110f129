"""All that the doctor looks at, in order; what does not answer ends its own part only."""

from collections.abc import Iterable, Iterator

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.core import database, redis_client
from api.core.errors import VerbatimError
from api.core.log import Log
from api.core.settings import Settings
from api.operations.doctor import bucket, postgres_server, queue, redis_server, sentinels
from api.operations.doctor import settings as of_settings
from api.operations.doctor.findings import Finding, problem


def examine(settings: Settings, names: Iterable[str]) -> list[Finding]:
    """Return the findings. `names` are those of the environment and of `.env`.

    Settings may lack URLs: what they lead to is left out then. Raises nothing for a server that is
    away, wrong or refuses.
    """
    found = list(of_settings.examine(settings, names))
    if settings.database_url:
        found += postgres_server.examine(settings)
    found += bucket.examine(settings)
    if settings.redis_url:
        found += sentinels.examine(settings.redis_url)
        with redis_client.connect(settings, "verbatim-doctor") as log_servers:
            found += redis_server.examine_all(log_servers, settings)
    if settings.redis_url or settings.celery_broker_url:
        found += queue.examine_workers(settings)
    if settings.database_url and settings.redis_url:
        found += _of_log(settings)
    return found


def _of_log(settings: Settings) -> Iterator[Finding]:
    engine = database.make_engine(
        settings.worker_database, application_name="verbatim-doctor", pool_size=1
    )
    try:
        with redis_client.connect(settings, "verbatim-doctor") as redis:
            log = Log(redis, settings.log_namespace)
            yield from queue.examine_log(log, engine, settings)
    except (RedisError, SQLAlchemyError, VerbatimError):
        yield problem(
            "log", "the log was not looked at: it needs both servers", "mend what is said above"
        )
    finally:
        engine.dispose()
