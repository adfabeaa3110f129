"""Deletes objects of the bucket that belong to no asset any more, or came to belong to none.

Which these are is written down by PostgreSQL itself: by the transaction that deletes the asset, and
before an upload puts its object. An object goes first and its row after it, so that what a crash or
an outage of the bucket leaves is found again.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine

from api.core.bucket import Bucket
from workers import sql

logger = logging.getLogger(__name__)

#: Objects that are deleted in one go; the client's library deletes ten at a time.
CHUNK: Final = 20
#: How long the bucket may take for one answer. With another try, one go takes four times that at
#: most, and a task has 60 s, with all that it does besides.
ANSWER_SECONDS: Final = 5.0
#: An upload that ends at this moment holds its row, and keeps its object.
_DUE: Final = """/*NO LOAD BALANCE*/
    SELECT id FROM asset_leftover WHERE due_at < now()
    ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""
_GONE: Final = "DELETE FROM asset_leftover WHERE id = ANY(%s)"


class Leftovers:
    """Finds objects that are due, and deletes them."""

    def __init__(self, engine: Engine, bucket: Bucket, should_stop: Callable[[], bool]) -> None:
        self._engine = engine
        self._bucket = bucket
        self._should_stop = should_stop

    def delete(self, until: float) -> int:
        """Delete them, until a time of the monotonic clock; return how many there were.

        Raises Unavailable where the bucket does not answer, or none is set: it is looked again.
        """
        deleted = 0
        while not self._should_stop() and (names := self._due()):
            self._bucket.delete(names)
            with sql.transaction(self._engine) as cursor:
                cursor.execute(_GONE, [names])
            deleted += len(names)
            if time.monotonic() > until:
                logger.warning("objects of deleted files are left: the search goes on in an hour")
                break
        return deleted

    def _due(self) -> list[str]:
        # The locks end with this transaction, before the bucket is asked. No upload keeps an object
        # whose row was due once (`api.accounts.assets`).
        with sql.transaction(self._engine) as cursor:
            cursor.execute(_DUE, [CHUNK])
            return [name for (name,) in cursor.fetchall()]
