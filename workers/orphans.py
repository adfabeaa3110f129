"""Deletes uploads that no message has named for a day, and what is left of files in the bucket.

A message may name one for hours after it was uploaded, and may then wait in the log; so nothing is
deleted while an entry waits that is as old as that allows. Once an hour one process looks, while
drains run: who writes nothing does not wake the database.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine

from api.core.assets import FRESH_HOURS
from api.core.bucket import Bucket
from api.core.failures import describe
from api.core.log import Log
from workers import sql
from workers.leftovers import Leftovers

logger = logging.getLogger(__name__)

#: Age of an upload that goes. Whatever names it was accepted so long before as this is more than
#: FRESH_HOURS.
ORPHAN_HOURS: Final = 24
#: Uploads that one transaction deletes, in time, however large they are.
CHUNK: Final = 10
#: How long one run deletes: the rest is left to the one an hour later.
MOST_SECONDS: Final = 20.0
#: An hour for clocks that differ.
_WAITED_MOST_MS: Final = (ORPHAN_HOURS - FRESH_HOURS - 1) * 3600 * 1000
_DELETE: Final = """
    DELETE FROM asset WHERE id = ANY(ARRAY(
        SELECT id FROM asset AS a
        WHERE created_at < now() - %s * interval '1 hour'
            AND NOT EXISTS (SELECT FROM asset_use AS u WHERE u.asset_id = a.id)
        LIMIT %s))
"""


class Orphans:
    """Finds uploads that no message names, and leftovers in the bucket; deletes them."""

    def __init__(
        self, log: Log, engine: Engine, bucket: Bucket, should_stop: Callable[[], bool]
    ) -> None:
        self._log = log
        self._engine = engine
        self._should_stop = should_stop
        self._leftovers = Leftovers(engine, bucket, should_stop)

    def run(self) -> int:
        """Delete them if it is time to look; return how many uploads there were.

        Fails without an exception: it is looked again an hour later.
        """
        deleted = 0
        try:
            if not self._log.wants_orphans():
                return 0
            until = time.monotonic() + MOST_SECONDS
            if self._log.status().oldest_age_ms <= _WAITED_MOST_MS:
                deleted = self._delete(until)
            self._leftovers.delete(until)
        except Exception as error:  # noqa: BLE001 - the drain, which runs it, must go on
            logger.error("unused files were not deleted: %s", describe(error))  # noqa: TRY400 - no text
        return deleted

    def _delete(self, until: float) -> int:
        deleted = 0
        while not self._should_stop() and (some := self._delete_some()):
            deleted += some
            if time.monotonic() > until:
                logger.warning("unused files are left: the search goes on in an hour")
                break
        return deleted

    def _delete_some(self) -> int:
        with sql.transaction(self._engine) as cursor:
            cursor.execute(_DELETE, [ORPHAN_HOURS, CHUNK])
            return cursor.rowcount
