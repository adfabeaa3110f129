"""Write the words of messages and titles for search, after the drain: a chunk per transaction.

A conversation's `searched` says up to which position it is done. What changes messages before that,
takes it back in its own transaction (`api.core.rewriting`). So a worker may end at any time, and
two may work side by side: each locks the conversations that it takes.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from sqlalchemy import Engine

from api.core.failures import describe
from api.core.search_query import vector
from workers import arrays, sql

logger = logging.getLogger(__name__)

#: What one transaction takes, at most: messages that come meanwhile wait for it, some 20 ms.
CONVERSATIONS: Final = 64
MESSAGES: Final = 250
BYTES: Final = 1 << 16

#: What is lost with PostgreSQL is written again, since `searched` is lost with it.
_LOOSE: Final = "SET LOCAL synchronous_commit = off"
#: While messages come in all the time, words take this share of the drain's time, and no more often
#: than this: the words of many messages cost less together.
BUSY_SHARE: Final = 0.1
BUSY_SECONDS: Final = 0.25

#: NO KEY: who adds messages need not wait for it.
_TAKE: Final = """/*NO LOAD BALANCE*/
    SELECT id, user_id, searched, message_count, title, created_at FROM conversation
    WHERE deleted_at IS NULL AND message_count > searched AND (user_id, id) > (%s, %s)
    ORDER BY user_id, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""
_READ: Final = """/*NO LOAD BALANCE*/
    SELECT id, position, content, created_at FROM (
        SELECT e.id, e.n, m.position, m.content, m.created_at, sum(octet_length(m.content))
            OVER (ORDER BY e.n, m.position) - octet_length(m.content) AS before
        FROM unnest(%s::bigint[], %s::bigint[]) WITH ORDINALITY AS e (id, searched, n)
        CROSS JOIN LATERAL (
            SELECT position, content, created_at FROM message
            WHERE conversation_id = e.id AND position > e.searched ORDER BY position LIMIT %s
        ) AS m
        ORDER BY e.n, m.position LIMIT %s
    ) AS found WHERE before < %s ORDER BY n, position
"""
_WRITE: Final = """
    DELETE FROM message_search AS s USING unnest(%s::bigint[], %s::bigint[]) AS e (id, searched)
    WHERE s.conversation_id = e.id AND s.position > e.searched;
    INSERT INTO message_search (conversation_id, position, user_id, created_at, words)
    SELECT unnest(%s::bigint[]), unnest(%s::bigint[]), unnest(%s::bigint[]),
        unnest(%s::timestamptz[]), unnest(%s::text[])::tsvector;
    UPDATE conversation AS c SET searched = e.searched
    FROM unnest(%s::bigint[], %s::bigint[]) AS e (id, searched) WHERE c.id = e.id
"""


class _Taken(NamedTuple):
    """A conversation that this transaction has locked."""

    id: int
    user_id: int
    searched: int
    message_count: int
    title: str | None
    created_at: Any


class SearchWords:
    """Writes what search does not know yet, account by account."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: The last account and conversation that was taken: others come next.
        self._after = (0, 0)
        #: How many conversations are taken at once.
        self._most = CONVERSATIONS
        self.is_done = False
        self._rests_until = 0.0

    @property
    def is_due(self) -> bool:
        """Whether words may take time that messages wait for."""
        return time.monotonic() >= self._rests_until

    def write_some(self) -> bool:
        """Write a chunk; return whether there was anything to write.

        Fails without an exception: it is tried again later.
        """
        began = time.monotonic()
        self.is_done = False
        taken: list[_Taken] = []
        try:
            with sql.transaction(self._engine) as cursor:
                cursor.execute(_LOOSE)
                taken = self._take(cursor)
                reached = self._write(cursor, taken) if taken else (0, 0)
        except Exception as error:  # noqa: BLE001 - the drain, which runs it, must go on
            logger.warning("words for search were not written: %s", describe(error))
            self._isolate(taken)
            return False
        self._after = reached
        self.is_done = not taken
        took = time.monotonic() - began
        self._rests_until = began + max(took / BUSY_SHARE, BUSY_SECONDS)
        self._most = min(2 * self._most, CONVERSATIONS)
        return bool(taken)

    def _take(self, cursor: Cursor) -> list[_Taken]:
        """Lock the next conversations, after the last one the first again."""
        for after in dict.fromkeys([self._after, (0, 0)]):
            cursor.execute(_TAKE, (*after, self._most))
            if taken := [_Taken(*row) for row in cursor.fetchall()]:
                return taken
        return []

    def _isolate(self, taken: Sequence[_Taken]) -> None:
        """After a failure take half of them, and pass over the one that fails alone."""
        if len(taken) == 1:
            self._after = taken[0].user_id, taken[0].id
        if taken:
            self._most = max(len(taken) // 2, 1)

    def _write(self, cursor: Cursor, taken: Sequence[_Taken]) -> tuple[int, int]:
        """Write their words as far as a chunk goes; return the last account and conversation."""
        ids, searched = [one.id for one in taken], [one.searched for one in taken]
        known = arrays.literal(ids), arrays.literal(searched)
        cursor.execute(_READ, (*known, MESSAGES, MESSAGES, BYTES))
        found = cursor.fetchall()
        done = _reached(taken, found)
        owners = {one.id: one.user_id for one in taken}
        rows = [
            (of, position, owners[of], at.isoformat(), text)
            for of, position, content, at in (*_titles(taken, done), *found)
            if (text := vector(owners[of], content))
        ]
        columns = zip(*rows, strict=True) if rows else ([],) * 5
        reached = arrays.literal(list(done)), arrays.literal(list(done.values()))
        written = (arrays.literal(column) for column in columns)
        cursor.execute(_WRITE, (*known, *written, *reached))
        last = next(one for one in reversed(taken) if one.id in done)
        return last.user_id, last.id


def _reached(taken: Sequence[_Taken], found: Sequence[Sequence[Any]]) -> dict[int, int]:
    """Return up to which position each conversation is done with what was found.

    The last one of which something was found may have more; what comes after it has to wait.
    """
    last_of = {of: position for of, position, *_ in found}
    cut = found[-1][0] if found else None
    done: dict[int, int] = {}
    for one in taken:
        done[one.id] = last_of[one.id] if one.id == cut else one.message_count
        if one.id == cut:
            break
    return done


def _titles(taken: Iterable[_Taken], done: dict[int, int]) -> Iterable[tuple[int, int, str, Any]]:
    """Yield the titles of conversations that begin in this chunk, as messages at position 0."""
    for one in taken:
        if one.searched < 0 and one.title and one.id in done:
            yield one.id, 0, one.title, one.created_at
