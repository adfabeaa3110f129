"""The doctor looks at the bucket of files: it stores a small object there, and deletes it again."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import psycopg2
from sqlalchemy.engine import URL

from api.core.bucket import Bucket
from api.core.errors import Unavailable
from api.core.settings import Settings
from api.operations.doctor.findings import Finding, ok, problem, warning

#: How long the bucket has for each answer.
ANSWER_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 5
#: With all rights of the tables' owner only are all rows seen.
_IN_BUCKET: Final = "SELECT EXISTS (SELECT FROM asset WHERE data IS NULL)"
#: A worker looks once an hour.
_LATE: Final = "SELECT count(*) FROM asset_leftover WHERE due_at < now() - interval '3 hours'"


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield findings on the bucket, if one is set, and on what is to be there."""
    if settings.bucket:
        yield _tried(Bucket.of(settings, answer_seconds=ANSWER_SECONDS))
    elif settings.database_url and _asked(settings.migration_database, _IN_BUCKET):
        yield problem(
            "files",
            "files are in a bucket, and ASSETS_URL names none: they cannot be read",
            "set ASSETS_URL and its keys again; ASSETS_STORE=postgresql lets new files go to "
            "PostgreSQL all the same",
        )
    if settings.database_url and (late := _asked(settings.worker_database, _LATE)):
        yield warning(
            "files",
            f"objects of deleted files that wait to be deleted from the bucket: {late}",
            "look for `unused files were not deleted` in the workers' log, and give workers the "
            "same ASSETS_… settings as the API",
        )


def _tried(bucket: Bucket) -> Finding:
    name, data = f"doctor_{secrets.token_hex(16)}", secrets.token_bytes(16)
    tried = "storing"
    try:
        bucket.put(name, data)
        tried = "reading"
        found = bucket.get(name)
        tried = "deleting"
        bucket.delete([name])
    except Unavailable as error:
        why = type(error.__cause__).__name__
        return problem(
            "files",
            f"the bucket of files is away, or refuses ({why}): {tried} an object failed",
            "start it, or correct ASSETS_URL, ASSETS_ENDPOINT, ASSETS_REGION and the keys; they "
            "must be allowed to put, get and delete objects",
        )
    if found != data:
        return problem(
            "files",
            "the bucket of files does not answer what was stored a moment ago",
            "use storage that reads what was written; compare ASSETS_URL",
        )
    return ok("files", "the bucket of files stores, reads and deletes")


def _asked(url: URL, query: str) -> int:
    """Return what PostgreSQL answers; 0 where it does not, of which other findings tell."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with (
            closing(psycopg2.connect(plain, connect_timeout=_CONNECT_SECONDS)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            (answer,) = cursor.fetchone() or (0,)
            return int(answer)
    except psycopg2.Error:
        return 0
