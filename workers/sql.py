"""All the SQL of the drain, inside transactions that `workers.batch` opens.

Several statements in one string save round trips, and are statements all the same: each has a
snapshot of its own.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from sqlalchemy import Engine

from api.core import partition_counts
from api.core.entries import Entry
from workers.known import Known, KnownConversation, KnownMessage

#: Nothing of a session outlives the transaction: a pooler may give the next one to somebody else.
#: PostgreSQL itself ends a worker that stands still with the lock in hand.
_BEGIN: Final = f"""
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
    SET LOCAL synchronous_commit = on;
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    {partition_counts.timeouts(lock_seconds=2, statement_seconds=10)};
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
_PURGED: Final = """
    UPDATE conversation SET message_count = 0
    WHERE id = %(conversation)s AND deleted_at IS NOT NULL AND message_count > 0
"""


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
    partition_counts.settle_deleted_conversation(cursor.execute, conversation_id)
    return True
