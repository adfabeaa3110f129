"""The rows of `log_partition`: how far each partition is committed, and what became of its entries.

Per partition, accepted = applied + dead + discarded + entries in the log above `last_id`; the audit
checks it. So whatever moves an entry from one of these counts to another is here, and is to be run
in a transaction that holds the partition's lock.

The statements are in the style of the driver, because both kinds of caller run them: the workers on
a cursor of psycopg2, the API on a connection of SQLAlchemy.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, badly named
from sqlalchemy import Connection

#: `cursor.execute` of psycopg2, or `connection.exec_driver_sql` of SQLAlchemy.
Execute = Callable[[str, Mapping[str, Any]], object]

#: Dead letters that count as `dead`. The others count as `applied` or `discarded`.
UNSETTLED: Final = "redriven_at IS NULL AND discarded_at IS NULL"

_PARTITIONS: Final = """
    SELECT p.id, last_id, applied, dead, discarded, (SELECT id FROM database_identity)
    FROM log_partition AS p WHERE p.id = ANY(%(partitions)s)
"""
#: Alone in their statements: one that also read other tables would read them as of before the lock.
_LOCK: Final = _PARTITIONS + "ORDER BY p.id FOR UPDATE"
_LOCK_FREE: Final = (
    _PARTITIONS
    + "ORDER BY array_position(%(partitions)s, p.id::int) LIMIT %(most)s FOR UPDATE SKIP LOCKED"
)
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


def _settling(letters: str, to: Literal["applied", "discarded"]) -> str:
    """Return a statement that settles dead letters and moves their partitions' counts accordingly.

    `letters` changes or deletes rows of `dead_letter AS d`; of these, only the unsettled ones.
    """
    return f"""
        WITH settled AS ({letters} AND {UNSETTLED} RETURNING d.partition),
            sums AS (SELECT partition, count(*) AS letters FROM settled GROUP BY partition)
        UPDATE log_partition AS p SET dead = p.dead - s.letters, {to} = p.{to} + s.letters
        FROM sums AS s WHERE p.id = s.partition
    """  # noqa: S608 - our own words


_REDRIVEN: Final = _settling(
    "UPDATE dead_letter AS d SET redriven_at = now() WHERE d.id = %(letter)s", "applied"
)
_DISCARDED: Final = _settling(
    "UPDATE dead_letter AS d SET discarded_at = now(), discard_note = %(note)s"
    " WHERE d.id = %(letter)s",
    "discarded",
)
#: The payload goes, so that a redrive cannot bring the deleted text back.
_CONVERSATION_DELETED: Final = _settling(
    "UPDATE dead_letter AS d SET payload = '', discarded_at = now(),"
    " discard_note = 'its conversation was deleted' FROM conversation AS c"
    " WHERE c.id = %(conversation)s AND c.deleted_at IS NOT NULL"
    " AND d.conversation_id = c.id AND d.user_id = c.user_id",
    "discarded",
)
#: Those that were settled before have the same text.
_EMPTY_SETTLED: Final = (
    "UPDATE dead_letter AS d SET payload = '' FROM conversation AS c"
    " WHERE c.id = %(conversation)s AND c.deleted_at IS NOT NULL"
    " AND d.conversation_id = c.id AND d.user_id = c.user_id AND d.payload <> ''"
)
_USER_DELETED: Final = _settling(
    "DELETE FROM dead_letter AS d WHERE d.user_id = %(user)s", "discarded"
)
_REMOVE_SETTLED: Final = "DELETE FROM dead_letter WHERE user_id = %(user)s"


@dataclass(frozen=True, slots=True)
class Locked:
    """A partition's row, which this transaction holds."""

    last_id: int
    applied: int
    dead: int
    discarded: int
    database_id: str

    @property
    def counted(self) -> int:
        """Entries that were decided on."""
        return self.applied + self.dead + self.discarded


@dataclass(slots=True)
class Tally:
    """How a partition's row advances: its new `last_id`, and what is added to its counts."""

    last_id: int
    applied: int = 0
    dead: int = 0
    discarded: int = 0


@dataclass(frozen=True, slots=True)
class Advanced:
    """Per partition `last_id` and the sum of its counts, and PostgreSQL's Unix time in ms."""

    counted: dict[int, tuple[int, int]]
    now_ms: float


def timeouts(*, lock_seconds: int, statement_seconds: int) -> str:
    """Return the statements that limit how long this transaction waits for locks and answers."""
    return (
        f"SET LOCAL lock_timeout = '{lock_seconds}s';"
        f" SET LOCAL statement_timeout = '{statement_seconds}s'"
    )


def lock(connection: Connection, partitions: Iterable[int]) -> dict[int, Locked]:
    """Lock these partitions, waiting for each drain that holds one (for one batch)."""
    return _locked(connection.exec_driver_sql(_LOCK, {"partitions": list(partitions)}))


def lock_free(cursor: Cursor, partitions: Sequence[int], most: int) -> dict[int, Locked]:
    """Lock at most `most` of these partitions, the first ones first; skip those that are held."""
    cursor.execute(_LOCK_FREE, {"partitions": list(partitions), "most": most})
    return _locked(cursor)


def advance(cursor: Cursor, tallies: Mapping[int, Tally]) -> Advanced:
    """Advance these partitions. To be the last statement, for the time to be that of the commit."""
    rows = [(p, t.last_id, t.applied, t.dead, t.discarded) for p, t in tallies.items()]
    cursor.execute(_ADVANCE, [list(column) for column in zip(*rows, strict=True)])
    found = cursor.fetchall()
    return Advanced({p: (last_id, counted) for p, last_id, counted, _ in found}, found[0][3])


def settle_redriven(execute: Execute, letter_id: int) -> None:
    """Settle a dead letter that was applied after all."""
    execute(_REDRIVEN, {"letter": letter_id})


def settle_discarded(execute: Execute, letter_id: int, note: str) -> None:
    """Settle a dead letter that is given up. Its payload stays."""
    execute(_DISCARDED, {"letter": letter_id, "note": note})


def settle_deleted_conversation(execute: Execute, conversation_id: int) -> None:
    """Settle and empty the owner's dead letters of a conversation, if it is a tombstone."""
    execute(_CONVERSATION_DELETED, {"conversation": conversation_id})
    execute(_EMPTY_SETTLED, {"conversation": conversation_id})


def settle_deleted_user(execute: Execute, user_id: int) -> None:
    """Settle and remove all dead letters of a user whose account is being deleted."""
    execute(_USER_DELETED, {"user": user_id})
    execute(_REMOVE_SETTLED, {"user": user_id})


def _locked(rows: Iterable[Any]) -> dict[int, Locked]:
    return {
        partition: Locked(last_id, applied, dead, discarded, str(database_id))
        for partition, last_id, applied, dead, discarded, database_id in rows
    }
