"""Remove the messages of deleted conversations, one chunk per transaction."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from sqlalchemy import Engine

from api.core import ids, partition_counts
from workers import sql
from workers.failures import BatchFailedError

#: Messages of a deleted conversation that one transaction removes.
PURGE_CHUNK: Final = 1_000


class Purger:
    """The deleted conversations that still have messages. Each is taken in turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conversations: deque[int] = deque()

    @property
    def is_done(self) -> bool:
        """Whether no deleted conversation is known to have messages."""
        return not self._conversations

    def load(self) -> None:
        """Take those that are unfinished, also by earlier processes."""
        with sql.transaction(self._engine) as cursor:
            self._conversations = deque(sql.unpurged(cursor))

    def add(self, conversations: Iterable[int]) -> None:
        """Add conversations that were deleted just now."""
        self._conversations.extend(conversations)

    def purge_some(self, is_skipped: Callable[[int], bool]) -> bool:
        """Remove a chunk of one conversation; return whether that was possible.

        It is not where `is_skipped` says so of its partition, another drain holds the partition,
        or the owner's account is being deleted. Raises BatchFailedError; it is tried again later.
        """
        if self.is_done:
            return False
        conversation = self._conversations.pop()
        purged: bool | None = None
        try:
            if not is_skipped(ids.partition_of(conversation)):
                purged = self._purge(conversation)
        finally:
            if not purged:
                self._conversations.appendleft(conversation)
        return purged is not None

    def _purge(self, conversation_id: int) -> bool | None:
        """Remove a chunk; return whether no messages are left, None if it was not possible."""
        partition = ids.partition_of(conversation_id)
        try:
            with sql.transaction(self._engine) as cursor:
                if not partition_counts.lock_free(cursor, [partition], 1):
                    return None
                return sql.purge(cursor, conversation_id, PURGE_CHUNK)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next drain tries again
            raise BatchFailedError([partition], 1, error) from None
