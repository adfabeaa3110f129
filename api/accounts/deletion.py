"""Deleting an account: one transaction of PostgreSQL decides, everything else follows from it.

Before it the account takes no more writes, for a minute; after it the drain discards whatever of it
was still queued, because its user does not exist. A process that dies in between leaves the account
as it was, or gone: what it then leaves on Redis brings nothing back, and expires by itself.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from api.core import failpoints, ids, partition_counts
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Unavailable
from api.reads.read_after import Reads
from api.writes.accept import aside
from api.writes.write_path import WritePath

#: How long writes are refused before the deletion is certain, and after it.
CLOSED_SECONDS: Final = 60
#: How long it may take: a million messages take 4 s on two cores.
ERASING_SECONDS: Final = 45
GONE_SECONDS: Final = 24 * 3600
#: What a streamed turn said is kept for ten minutes.
STREAM_MS: Final = 11 * 60 * 1000

_TIMEOUTS: Final = partition_counts.timeouts(lock_seconds=5, statement_seconds=40)
#: The drain removes no messages of a deleted conversation of this user meanwhile (`workers.sql`).
_ALONE: Final = text("SELECT pg_advisory_xact_lock(:user)")
_MESSAGES: Final = text("DELETE FROM message WHERE user_id = :user RETURNING id")
_CONVERSATIONS: Final = text("DELETE FROM conversation WHERE user_id = :user RETURNING id")
_SESSIONS: Final = text("DELETE FROM session WHERE user_id = :user RETURNING id")
_USER: Final = text('DELETE FROM "user" WHERE id = :user')


@dataclass(frozen=True, slots=True)
class _Erased:
    """What PostgreSQL had, and Redis may still have something of."""

    conversations: list[int]
    recent_turns: list[int]
    sessions: list[str]


class Erasure:
    """Deletes accounts, for good."""

    def __init__(
        self, database: AsyncDatabase, reads: Reads, write_path: WritePath, token_seconds: int
    ) -> None:
        self._database = database
        self._reads = reads
        self._log = write_path.log
        self._token_seconds = token_seconds

    async def erase(self, owner: int) -> None:
        """Delete an account and all that belongs to it. Raises Unavailable; then repeat it."""
        tails = await aside(self._close, owner)
        with suppress(Unavailable):
            # What is queued reaches PostgreSQL first, if it does so soon, and goes with the rest.
            await self._reads.after(owner, tails, lambda _: None)
        try:
            erased = await self._database.write(
                Viewer(owner), _erase(owner), timeout_seconds=ERASING_SECONDS
            )
        except Unavailable:
            await aside(self._log.run, "gone", owner, 0)
            raise
        failpoints.reach("deletion.after_commit")
        # Not before: a rolled back transaction must leave an account that works.
        await aside(self._forget, owner, erased)

    def _close(self, owner: int) -> list[int]:
        self._log.run("gone", owner, CLOSED_SECONDS)
        return [p.tail for p in self._log.status().partitions if p.tail and p.entries]

    def _forget(self, owner: int, erased: _Erased) -> None:
        self._log.run("gone", owner, GONE_SECONDS)
        self._log.revoke(owner, erased.sessions, self._token_seconds)
        for kind, found in (("conv", erased.conversations), ("turns", erased.conversations)):
            self._log.forget(f"{kind}:{one}" for one in found)
        self._log.forget(f"stream:{turn}" for turn in erased.recent_turns)
        self._log.forget([f"quota:{owner}"])
        self._log.forget_matching(f"idem:{owner}:*")


def _erase(owner: int) -> Callable[[Session], _Erased]:
    def erase(session: Session) -> _Erased:
        facts = {"user": int(owner)}
        connection = session.connection()

        def deleted(statement: Any) -> list[Any]:
            return list(connection.execute(statement, facts).scalars())

        connection.exec_driver_sql(_TIMEOUTS)
        connection.execute(_ALONE, facts)
        # Nearly all of it before the locks, which stop the drain for everybody.
        messages = deleted(_MESSAGES)
        # No drain may be between having read an entry of this user and writing it.
        partition_counts.lock(connection, range(ids.PARTITIONS))
        messages += deleted(_MESSAGES)
        partition_counts.settle_deleted_user(connection.exec_driver_sql, int(owner))
        recent = ids.first_at(int(time.time() * 1000) - STREAM_MS, 0)
        turns = [message for message in messages if message >= recent]
        erased = _Erased(deleted(_CONVERSATIONS), turns, deleted(_SESSIONS))
        connection.execute(_USER, facts)
        return erased

    return erase
