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
from workers.plan import Change, Death, Known, KnownConversation, KnownMessage, Plan, Tally

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
#: A Unix time in milliseconds, exactly.
_AT: Final = "timestamptz 'epoch' + {} * interval '1 millisecond'"
_OPEN: Final = f"""
    INSERT INTO conversation (id, user_id, title, created_at, updated_at)
    SELECT e.id, e.user_id, e.title, {_AT.format("e.at")}, {_AT.format("e.at")}
    FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[]) AS e (id, user_id, title, at)
"""  # noqa: S608 - our own words
#: A conversation that is not there gives no position, which fails: nothing is lost in the join.
_ADD: Final = f"""
    INSERT INTO message
        (id, conversation_id, user_id, position, role, content, status, created_at)
    SELECT e.id, e.conversation_id, e.user_id,
        c.message_count + row_number() OVER (PARTITION BY e.conversation_id ORDER BY e.id),
        e.role, e.content, e.status, {_AT.format("e.at")}
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[],
        %s::bigint[]) AS e (id, conversation_id, user_id, role, content, status, at)
    LEFT JOIN conversation AS c ON c.id = e.conversation_id
"""  # noqa: S608 - our own words
_CHANGE: Final = f"""
    UPDATE conversation AS c SET
        message_count = c.message_count + e.added,
        updated_at = {_AT.format("e.at")},
        title = CASE WHEN e.deleted_at IS NOT NULL THEN NULL WHEN e.renamed THEN e.title
            ELSE c.title END,
        closed_at = coalesce(c.closed_at, {_AT.format("e.closed_at")}),
        deleted_at = {_AT.format("e.deleted_at")}
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bool[], %s::text[], %s::bigint[],
        %s::bigint[]) AS e (id, added, at, renamed, title, closed_at, deleted_at)
    WHERE c.id = e.id
"""  # noqa: S608 - our own words
_BURY: Final = f"""
    INSERT INTO dead_letter (entry_id, partition, op, user_id, conversation_id, position, role,
        status, reason, sqlstate, payload, entry_created_at)
    SELECT e.id, e.partition, e.op, e.user_id, e.conversation_id, m.position, e.role,
        e.status, e.reason, e.sqlstate, e.payload, {_AT.format("e.at")}
    FROM unnest(%s::bigint[], %s::smallint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[],
        %s::text[], %s::text[], %s::text[], %s::bytea[], %s::bigint[], %s::bool[])
        AS e (id, partition, op, user_id, conversation_id, role, status, reason, sqlstate, payload,
            at, placed)
    LEFT JOIN message AS m ON e.placed AND m.id = e.id
"""  # noqa: S608 - our own words
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
_RECENT_DEATHS: Final = (
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
_ROLES: Final = frozenset({"user", "assistant"})


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
    for kind, row_id, user_id, at_ms, conversation_id, *standing, role, data in cursor:
        match kind:
            case "user":
                known.users.add(row_id)
            case "conversation":
                known.conversations[row_id] = KnownConversation(user_id, at_ms, *standing)
            case "message":
                known.messages[row_id] = KnownMessage(
                    conversation_id, user_id, at_ms, role, bytes(data)
                )
            case _:
                known.dead.add((row_id, bytes(data)))
    return known


def write(cursor: Cursor, plan: Plan) -> None:
    """Write what a plan says, in as few statements as there are tables."""
    statements = [
        *_statement(cursor, _OPEN, [_opened(entry, plan) for entry in plan.opens]),
        *_statement(cursor, _ADD, [_added(entry, plan) for entry in plan.adds]),
        *_statement(cursor, _CHANGE, [_changed(*item, plan) for item in plan.changes.items()]),
        *_statement(cursor, _BURY, [_buried(death) for death in plan.deaths]),
    ]
    if statements:
        cursor.execute(b";".join(statements))


def advance(cursor: Cursor, tallies: Iterable[tuple[int, Tally]]) -> Advanced:
    """Advance the cursors and books of partitions; the transaction's last statement."""
    rows = [(p, t.last_id, t.applied, t.dead, t.discarded) for p, t in tallies]
    cursor.execute(_ADVANCE, _columns(rows))
    found = cursor.fetchall()
    return Advanced({p: (last, counted) for p, last, counted, _ in found}, found[0][3])


def recent_deaths(cursor: Cursor) -> int:
    """Count the dead letters of the last minute."""
    cursor.execute(_RECENT_DEATHS)
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


def _statement(cursor: Cursor, sql: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[bytes]:
    if rows:
        yield cursor.mogrify(sql, _columns(rows))


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _text(entry: Entry, plan: Plan) -> str | None:
    """Return an entry's text, or nothing where PostgreSQL will not have it."""
    return None if entry.id in plan.blank else entry.data.decode() or None


def _opened(entry: Entry, plan: Plan) -> tuple[Any, ...]:
    return entry.id, entry.user_id, _text(entry, plan), entry.created_at_ms


def _added(entry: Entry, plan: Plan) -> tuple[Any, ...]:
    refused = entry.id in plan.blank
    return (
        entry.id,
        entry.conversation_id,
        entry.user_id,
        (_role(entry) or "user") if refused else entry.role,
        _text(entry, plan) or "",
        "unavailable" if refused else entry.status,
        entry.created_at_ms,
    )


def _changed(conversation_id: int, change: Change, plan: Plan) -> tuple[Any, ...]:
    title = _text(change.rename, plan) if change.rename else None
    return (
        *(conversation_id, change.added, change.at_ms, change.rename is not None, title),
        *(change.closed_at_ms, change.deleted_at_ms),
    )


def _buried(death: Death) -> tuple[Any, ...]:
    entry = death.entry
    is_message = entry.op == "add"
    return (
        *(entry.id, death.partition, entry.op, entry.user_id, entry.conversation_id),
        *((_role(entry), entry.status) if is_message else (None, None)),
        *(death.reason, death.sqlstate, psycopg2.Binary(entry.data)),
        *(entry.created_at_ms, death.placed),
    )


def _role(entry: Entry) -> str | None:
    return entry.role if entry.role in _ROLES else None
