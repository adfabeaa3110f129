"""All the SQL of the drain, inside transactions that `workers.batch` opens.

Several statements in one string save round trips, and are statements all the same: each has a
snapshot of its own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from sqlalchemy import Engine

from api.core.entries import Entry
from workers.known import Known, KnownConversation, KnownMessage
from workers.plan import Tally

#: Nothing of a session outlives the transaction: a pooler may give the next one to somebody else.
#: PostgreSQL itself ends a worker that stands still with the lock in hand.
_BEGIN: Final = """
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    SET LOCAL synchronous_commit = on;
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    SET LOCAL statement_timeout = '10s';
    SET LOCAL lock_timeout = '2s';
"""
#: Alone in its statement: one that also read the tables would read them as of before the lock.
_LOCK: Final = """
    SELECT id, last_id, applied + dead + discarded, (SELECT id FROM database_identity)
    FROM log_partition WHERE id = ANY(%(wanted)s)
    ORDER BY array_position(%(wanted)s, id::int) LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
"""
_LOOK_UP: Final = """
    SELECT 'user', id, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bool, NULL::bool,
        NULL::bool, NULL::text, NULL::bytea
    FROM "user" WHERE id = ANY(%(users)s::bigint[])
    UNION ALL
    SELECT 'conversation', id, user_id, (extract(epoch FROM created_at) * 1000)::bigint, NULL,
        title IS NOT NULL, closed_at IS NOT NULL, deleted_at IS NOT NULL, NULL, NULL
    FROM conversation WHERE id = ANY(%(conversations)s::bigint[])
"""
_LOOK_UP_SUSPECTS: Final = """
    UNION ALL
    SELECT 'message', id, user_id, (extract(epoch FROM created_at) * 1000)::bigint,
        conversation_id, NULL, NULL, NULL, role, convert_to(content, 'UTF8')
    FROM message WHERE id = ANY(%(entries)s::bigint[])
    UNION ALL
    SELECT 'dead', entry_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, payload
    FROM dead_letter WHERE entry_id = ANY(%(entries)s::bigint[])
"""
_ADVANCE: Final = """
    UPDATE log_partition AS p SET last_id = greatest(p.last_id, e.last_id),
        applied = p.applied + e.applied, dead = p.dead + e.dead,
        discarded = p.discarded + e.discarded
    FROM unnest(%s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS e (id, last_id, applied, dead, discarded)
    WHERE p.id = e.id
    RETURNING p.id, p.last_id, p.applied + p.dead + p.discarded,
        (extract(epoch FROM clock_timestamp()) * 1000)::float8
"""
_RECENT_DEAD_LETTERS: Final = (
    "SELECT count(*) FROM dead_letter WHERE created_at > now() - interval '1 minute'"
)
#: Tombstones that still have messages, or may have.
_UNPURGED: Final = (
    "SELECT id FROM conversation WHERE deleted_at IS NOT NULL AND message_count > 0 ORDER BY id"
)
#: Who deletes the owner's whole account (`api.accounts.deletion`) deletes these, too, and would
#: wait for the partition that this transaction holds.
_MAY_PURGE: Final = """
    SELECT pg_try_advisory_xact_lock(user_id) FROM conversation
    WHERE id = %(conversation)s AND deleted_at IS NOT NULL
"""
_PURGE: Final = """
    DELETE FROM message WHERE conversation_id = %(conversation)s AND position IN (
        SELECT position FROM message WHERE conversation_id = (
            SELECT id FROM conversation WHERE id = %(conversation)s AND deleted_at IS NOT NULL)
        ORDER BY position LIMIT %(chunk)s)
"""
#: Also what the owner's dead letters of it held: nobody may bring it back.
_PURGED: Final = """
    UPDATE conversation SET message_count = 0
    WHERE id = %(conversation)s AND deleted_at IS NOT NULL AND message_count > 0;
    WITH settled AS (
        UPDATE dead_letter AS d SET payload = '', discarded_at = now(),
            discard_note = 'its conversation was deleted'
        FROM conversation AS c
        WHERE c.id = %(conversation)s AND c.deleted_at IS NOT NULL
            AND d.conversation_id = c.id AND d.user_id = c.user_id
            AND d.redriven_at IS NULL AND d.discarded_at IS NULL
        RETURNING d.entry_id)
    UPDATE log_partition SET dead = dead - (SELECT count(*) FROM settled),
        discarded = discarded + (SELECT count(*) FROM settled)
    WHERE id = %(conversation)s %% 16 AND EXISTS (SELECT FROM settled)
"""


@dataclass(frozen=True, slots=True)
class Locked:
    """A partition that this transaction holds: how far it is committed, and its books."""

    last_id: int
    counted: int
    database_id: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """The partitions as they will be once committed, and PostgreSQL's clock just before that."""

    books: dict[int, tuple[int, int]]
    now_ms: float


@contextmanager
def transaction(engine: Engine) -> Iterator[Cursor]:
    """Open a transaction and commit it. A connection that saw an exception is never pooled.

    Its locks are gone when the exception arrives: who tries again at once must not find them held.
    """
    connection = engine.raw_connection()
    try:
        cursor = cast("Cursor", connection.cursor())
        cursor.execute(_BEGIN)
        yield cursor
        connection.commit()
    except BaseException:
        with suppress(psycopg2.Error):
            connection.rollback()
        connection.invalidate()
        raise
    finally:
        connection.close()


@contextmanager
def savepoint(cursor: Cursor) -> Iterator[None]:
    """Undo what fails inside, and nothing else of the transaction."""
    cursor.execute("SAVEPOINT entries")
    try:
        yield
    except Exception:
        cursor.execute("ROLLBACK TO SAVEPOINT entries; RELEASE SAVEPOINT entries")
        raise
    cursor.execute("RELEASE SAVEPOINT entries")


def lock(cursor: Cursor, partitions: Sequence[int], most: int) -> dict[int, Locked]:
    """Lock those partitions that nobody holds, the first ones first, at most so many."""
    cursor.execute(_LOCK, {"wanted": list(partitions), "most": most})
    return {
        partition: Locked(last_id, counted, str(database_id))
        for partition, last_id, counted, database_id in cursor.fetchall()
    }


def look_up(cursor: Cursor, entries: Collection[Entry], suspects: Iterable[Entry]) -> Known:
    """Return what PostgreSQL has of these entries' users and conversations.

    Whether the entry itself is there is asked for suspects only: for others the primary key tells.
    """
    facts = {
        "users": list({entry.user_id for entry in entries}),
        "conversations": list({entry.conversation_id for entry in entries}),
        "entries": [entry.id for entry in suspects],
    }
    cursor.execute(_LOOK_UP + _LOOK_UP_SUSPECTS if facts["entries"] else _LOOK_UP, facts)
    known = Known()
    for kind, row_id, user_id, at_ms, conversation_id, *flags, role, data in cursor:
        match kind:
            case "user":
                known.users.add(row_id)
            case "conversation":
                known.conversations[row_id] = KnownConversation(user_id, at_ms, *flags)
            case "message":
                known.messages[row_id] = KnownMessage(
                    conversation_id, user_id, at_ms, role, bytes(data)
                )
            case _:
                known.dead_letters.add((row_id, bytes(data)))
    return known


def advance(cursor: Cursor, tallies: Iterable[tuple[int, Tally]]) -> Advanced:
    """Advance the cursors and books of partitions; the transaction's last statement."""
    rows = [(p, t.last_id, t.applied, t.dead, t.discarded) for p, t in tallies]
    cursor.execute(_ADVANCE, columns(rows))
    found = cursor.fetchall()
    return Advanced({p: (last, counted) for p, last, counted, _ in found}, found[0][3])


def recent_dead_letters(cursor: Cursor) -> int:
    """Count the dead letters of the last minute."""
    cursor.execute(_RECENT_DEAD_LETTERS)
    return int(cursor.fetchall()[0][0])


def unpurged(cursor: Cursor) -> list[int]:
    """Return deleted conversations that still have messages."""
    cursor.execute(_UNPURGED)
    return [conversation for (conversation,) in cursor.fetchall()]


def purge(cursor: Cursor, conversation_id: int, chunk: int) -> bool | None:
    """Remove messages of a deleted conversation; tell whether those were the last.

    Returns None where its owner's account is being deleted.
    """
    facts = {"conversation": conversation_id, "chunk": chunk}
    cursor.execute(_MAY_PURGE, facts)
    if cursor.fetchone() == (False,):
        return None
    cursor.execute(_PURGE, facts)
    if cursor.rowcount == chunk:
        return False
    cursor.execute(_PURGED, facts)
    return True


def columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Turn rows into columns: the arrays that `unnest` takes."""
    return [list(column) for column in zip(*rows, strict=True)]
