"""The SQL of the drain around the writing: transactions, what is known, purges.

Several statements in one string save round trips; each still has its own snapshot. What a batch
writes is in `workers.write`, the rows of `log_partition` are in `api.core.partition_counts`.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Final, cast

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from sqlalchemy import Engine

from api.core import partition_counts
from api.core.entries import Entry
from api.core.text import is_storable
from workers import arrays
from workers.known import Known, KnownConversation, KnownMessage

# What a transaction reads must be what it wrote. Pgpool-II sends reads to a standby before the
# first write, and again after a rollback to a savepoint, unless they begin with NO LOAD BALANCE
# (https://www.pgpool.net/docs/latest/en/html/runtime-config-load-balancing.html).

#: All settings end with the transaction: a pooler may give the connection to another client next.
#: PostgreSQL ends the session of a worker that stops while it holds a lock.
_BEGIN: Final = f"""
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET LOCAL synchronous_commit = on;
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    {partition_counts.timeouts(lock_seconds=2, statement_seconds=10)};
"""
_LOOK_UP: Final = """/*NO LOAD BALANCE*/
    SELECT 'user', id, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bool, NULL::bool,
        NULL::bool, NULL::text, NULL::bytea
    FROM "user" WHERE id = ANY(%(users)s::bigint[])
    UNION ALL
    SELECT 'conversation', id, user_id, (extract(epoch FROM created_at) * 1000)::bigint,
        rewritten_id, title IS NOT NULL, closed_at IS NOT NULL, deleted_at IS NOT NULL, NULL, NULL
    FROM conversation WHERE id = ANY(%(conversations)s::bigint[])
"""
_LOOK_UP_ENTRIES: Final = """
    UNION ALL
    SELECT 'message', id, user_id, (extract(epoch FROM created_at) * 1000)::bigint,
        conversation_id, NULL, NULL, NULL, role, convert_to(content, 'UTF8')
    FROM message WHERE id = ANY(%(entries)s::bigint[])
    UNION ALL
    SELECT 'dead', entry_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, payload
    FROM dead_letter WHERE entry_id = ANY(%(entries)s::bigint[])
"""
#: Of external ids that opens ask for: who has them.
_LOOK_UP_EXTERNAL_IDS: Final = """
    UNION ALL
    SELECT 'external', c.id, c.user_id, NULL, NULL, NULL, NULL, NULL, c.external_id, NULL
    FROM unnest(%(openers)s::bigint[], %(external_ids)s::text[]) AS e (user_id, external_id)
    JOIN conversation AS c USING (user_id, external_id) WHERE c.deleted_at IS NULL
"""
_LOOK_UP_NAMED: Final = """/*NO LOAD BALANCE*/
    SELECT m.conversation_id, m.external_id, m.role, convert_to(m.content, 'UTF8'), m.extra::text
    FROM unnest(%(conversations)s::bigint[], %(external_ids)s::text[])
        AS e (conversation_id, external_id)
    JOIN message AS m USING (conversation_id, external_id)
"""
_RECENT_DEAD_LETTERS: Final = """/*NO LOAD BALANCE*/
    SELECT count(*) FROM dead_letter WHERE created_at > now() - interval '1 minute'
"""
#: Tombstones that still have messages.
_UNPURGED: Final = """/*NO LOAD BALANCE*/
    SELECT id FROM conversation AS c WHERE deleted_at IS NOT NULL AND (message_count > 0
        OR (rewritten_id IS NOT NULL
            AND EXISTS (SELECT FROM message_aside WHERE conversation_id = c.id)))
    ORDER BY id
"""
#: The deletion of the owner's account (`api.accounts.deletion`) holds this lock. It deletes these
#: messages, too, and would wait for the partition that this transaction holds.
_MAY_PURGE: Final = """/*NO LOAD BALANCE*/
    SELECT pg_try_advisory_xact_lock(user_id) FROM conversation
    WHERE id = %(conversation)s AND deleted_at IS NOT NULL
"""
_PURGE: Final = """
    DELETE FROM message WHERE conversation_id = %(conversation)s AND position IN (
        SELECT position FROM message WHERE conversation_id = (
            SELECT id FROM conversation WHERE id = %(conversation)s AND deleted_at IS NOT NULL)
        ORDER BY position LIMIT %(chunk)s)
"""
_PURGE_ASIDE: Final = """
    DELETE FROM message_aside WHERE id IN (
        SELECT id FROM message_aside WHERE conversation_id = (
            SELECT id FROM conversation WHERE id = %(conversation)s AND deleted_at IS NOT NULL)
        LIMIT %(chunk)s)
"""
_PURGE_WORDS: Final = """
    DELETE FROM message_search WHERE conversation_id = %(conversation)s AND position IN (
        SELECT position FROM message_search WHERE conversation_id = (
            SELECT id FROM conversation WHERE id = %(conversation)s AND deleted_at IS NOT NULL)
        ORDER BY position LIMIT %(chunk)s)
"""
_PURGED: Final = """
    UPDATE conversation SET message_count = 0
    WHERE id = %(conversation)s AND deleted_at IS NOT NULL AND message_count > 0
"""


@contextmanager
def transaction(engine: Engine) -> Iterator[Cursor]:
    """Open a transaction, and commit it at the end. A connection that saw an error is closed.

    Its locks are released before the error is raised: a second try follows at once.
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
    """On an error undo what was done inside, and nothing else of the transaction."""
    cursor.execute("SAVEPOINT entries")
    try:
        yield
    except Exception:
        cursor.execute("ROLLBACK TO SAVEPOINT entries; RELEASE SAVEPOINT entries")
        raise
    cursor.execute("RELEASE SAVEPOINT entries")


@contextmanager
def trial(cursor: Cursor) -> Iterator[None]:
    """Undo what was done inside, and nothing else of the transaction."""
    cursor.execute("SAVEPOINT trial")
    try:
        yield
    finally:
        cursor.execute("ROLLBACK TO SAVEPOINT trial; RELEASE SAVEPOINT trial")


def look_up(
    cursor: Cursor,
    entries: Collection[Entry],
    checked: Iterable[Entry],
    external_ids: Collection[tuple[int, str]] = (),
) -> Known:
    """Return what PostgreSQL has of these entries' users and conversations, and of external ids.

    External ids are given as (user, external id). Whether an entry itself is stored is looked up
    for those in `checked` only: any other that is fails on the primary key, and the batch is tried
    again with all of them checked.
    """
    checked_ids = list(chain.from_iterable(_ids_of(entry) for entry in checked))
    facts = {
        "users": arrays.literal([*{entry.user_id for entry in entries}]),
        "conversations": arrays.literal([*{entry.conversation_id for entry in entries}]),
        "entries": arrays.literal(checked_ids),
        "openers": arrays.literal([user_id for user_id, _ in external_ids]),
        "external_ids": arrays.literal([external_id for _, external_id in external_ids]),
    }
    statement = _LOOK_UP
    if checked_ids:
        statement += _LOOK_UP_ENTRIES
    if external_ids:
        statement += _LOOK_UP_EXTERNAL_IDS
    cursor.execute(statement, facts)
    known = Known()
    for kind, row_id, user_id, at_ms, other_id, titled, closed, deleted, text, data in cursor:
        match kind:
            case "user":
                known.users.add(row_id)
            case "conversation":
                known.conversations[row_id] = KnownConversation(
                    user_id, at_ms, titled, closed, deleted, other_id or 0
                )
            case "message":
                known.messages[row_id] = KnownMessage(other_id, user_id, at_ms, text, bytes(data))
            case "external":
                known.external_ids[user_id, text] = row_id
            case _:
                known.dead_letters.add((row_id, bytes(data)))
    _look_up_named(cursor, entries, known)
    return known


def _ids_of(entry: Entry) -> Iterator[int]:
    """Yield an entry's id and those of its messages."""
    yield entry.id
    for message in entry.messages[:-1]:
        yield message.id


def _look_up_named(cursor: Cursor, entries: Iterable[Entry], known: Known) -> None:
    """Find out which external ids of these entries' messages are taken already."""
    wanted = [
        (entry.conversation_id, message.external_id)
        for entry in entries
        for message in entry.messages
        # No message has one that PostgreSQL cannot store: it is refused.
        if message.external_id is not None and is_storable(message.external_id)
    ]
    if not wanted:
        return
    conversations, external_ids = zip(*wanted, strict=True)
    facts = {
        "conversations": arrays.literal(conversations),
        "external_ids": arrays.literal(external_ids),
    }
    cursor.execute(_LOOK_UP_NAMED, facts)
    for conversation_id, external_id, role, content, extra in cursor:
        known.named[conversation_id, external_id] = role, bytes(content), extra


def recent_dead_letters(cursor: Cursor) -> int:
    """Count the dead letters of the last minute."""
    cursor.execute(_RECENT_DEAD_LETTERS)
    return int(cursor.fetchall()[0][0])


def unpurged(cursor: Cursor) -> list[int]:
    """Return deleted conversations that still have messages."""
    cursor.execute(_UNPURGED)
    return [conversation for (conversation,) in cursor.fetchall()]


def purge(cursor: Cursor, conversation_id: int, chunk: int) -> bool | None:
    """Remove at most `chunk` of a deleted conversation: words, messages, what is aside.

    Return whether none are left.

    Returns None if its owner's account is being deleted.
    """
    facts = {"conversation": conversation_id, "chunk": chunk}
    cursor.execute(_MAY_PURGE, facts)
    if cursor.fetchone() == (False,):
        return None
    for statement in (_PURGE_WORDS, _PURGE, _PURGE_ASIDE):
        cursor.execute(statement, facts)
        if cursor.rowcount == chunk:
            return False
    cursor.execute(_PURGED, facts)
    partition_counts.settle_deleted_conversation(cursor.execute, conversation_id)
    return True
