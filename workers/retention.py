"""Deletes conversations to which nothing was written for too long.

That is RETENTION_DAYS, or fewer where the owner says so, of one or of all. A deletion is an entry
of the log, as a person's is, and void where the log has anything of the conversation that
PostgreSQL has not. Once an hour one process looks through all conversations, a window of ids at a
time.
"""

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import Engine

from api.core import conversation_fields
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.failures import describe
from api.core.ids import MAX_ID
from api.core.log import Log
from api.core.settings import Settings
from workers import sql

logger = logging.getLogger(__name__)

#: Conversations that one transaction looks at.
WINDOW: Final = 10_000
#: Deletions that one call puts into the log.
CHUNK: Final = 500
#: A search ends after this time, and goes on an hour later: a task has 60 s.
MOST_SECONDS: Final = 30.0
#: How long an accept call is good for, by Redis' clock.
ACCEPT_MS: Final = 10_000

_WINDOW: Final = """/*NO LOAD BALANCE*/
    WITH looked_at AS (
        SELECT id, user_id, external_id, updated_at, expires_in_days FROM conversation
        WHERE deleted_at IS NULL AND id > %(after)s ORDER BY id LIMIT %(window)s)
    SELECT c.id, c.user_id, c.external_id, p.last_id
    FROM looked_at AS c JOIN log_partition AS p ON p.id = c.id & 15
    JOIN "user" AS u ON u.id = c.user_id
    WHERE c.updated_at
        < now() - least(c.expires_in_days, u.expires_in_days, %(days)s) * interval '1 day'
    UNION ALL SELECT max(id), NULL, NULL, NULL FROM looked_at
"""


class _Old(NamedTuple):
    """A conversation to be deleted, and the last entry that PostgreSQL has of its partition."""

    id: int
    user_id: int
    external_id: str | None
    last_id: int


class Retention:
    """Finds old conversations, and puts their deletions into the log."""

    def __init__(
        self, log: Log, engine: Engine, settings: Settings, should_stop: Callable[[], bool]
    ) -> None:
        self._log = log
        self._engine = engine
        self._days = settings.retention_days
        self._limits = Limits.of(settings)
        self._should_stop = should_stop

    def run(self) -> int:
        """Delete what is too old, if it is time to look; return how many deletions were accepted.

        Fails without an exception: it is looked again an hour later.
        """
        accepted = 0
        try:
            if self._days and self._log.wants_retention():
                accepted = self._search()
                self._log.trim({}, [], {"expired": accepted})
        except Exception as error:  # noqa: BLE001 - the drain, which runs it, must go on
            logger.error("old conversations were not deleted: %s", describe(error))  # noqa: TRY400 - no text
        return accepted

    def _search(self) -> int:
        accepted, after, started = 0, 0, time.monotonic()
        while after < MAX_ID and not self._should_stop():
            old, after = self._look(after)
            for start in range(0, len(old), CHUNK):
                accepted += self._delete(old[start : start + CHUNK])
            if time.monotonic() - started > MOST_SECONDS:
                logger.warning("old conversations are left: the search goes on in an hour")
                break
        return accepted

    def _look(self, after: int) -> tuple[list[_Old], int]:
        """Return the old conversations of a window of ids, and where the next one begins."""
        facts = {"after": after, "window": WINDOW, "days": self._days}
        with sql.transaction(self._engine) as cursor:
            cursor.execute(_WINDOW, facts)
            *old, (last, *_) = cursor.fetchall()
        return [_Old(*row) for row in old], MAX_ID if last is None else last

    def _delete(self, old: list[_Old]) -> int:
        """Put deletions into the log; return how many it took."""
        deadline_ms = self._log.status().now_ms + ACCEPT_MS
        requests = [
            AcceptRequest(
                *("delete", one.user_id, "retention", one.id),
                state="live",
                external=conversation_fields.digest(one.external_id) if one.external_id else "",
                as_of=str(one.last_id),
            )
            for one in old
        ]
        results = self._log.accept(self._limits, deadline_ms, requests).results
        return sum(result.status == "ok" for result in results)
