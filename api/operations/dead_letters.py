"""Dead letters: entries that PostgreSQL refused, for an operator to redrive or discard.

Each is settled in one transaction under its partition's lock, as a drain writes. A message with a
reserved position (a row of status `unavailable`) gets its content there, so that the order stays;
one without is appended. Of a batch all that were refused come back, or none. A letter that is
refused again stays dead. Of the log only the recent turns of a redriven entry's conversation go:
the next turn loads them from PostgreSQL.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, Row, text

from api.core import partition_counts
from api.core.errors import NotFound
from api.core.log import Log
from api.operations.redrive import apply, permanent_refusal

State = Literal["dead", "redriven", "discarded"]

_COLUMNS: Final = (
    "id, entry_id, partition, op, user_id, conversation_id, position, role, status, reason, "
    "sqlstate, octet_length(payload) AS payload_bytes, entry_created_at, created_at, "
    "redriven_at, discarded_at, discard_note"
)
_TIMEOUTS: Final = partition_counts.timeouts(lock_seconds=15, statement_seconds=20)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter, without its payload, which is text of a user."""

    id: int
    entry_id: int
    partition: int
    op: str
    user_id: int
    conversation_id: int
    position: int | None
    role: str | None
    status: str | None
    reason: str
    sqlstate: str | None
    payload_bytes: int
    entry_created_at: datetime
    created_at: datetime
    redriven_at: datetime | None
    discarded_at: datetime | None
    discard_note: str | None

    @property
    def state(self) -> State:
        """Whether it was settled, and how."""
        if self.redriven_at:
            return "redriven"
        return "discarded" if self.discarded_at else "dead"


_FORGET_WORDS: Final = text("UPDATE conversation SET searched = -1 WHERE id = :id")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a redrive. `why`: the reason why the letter is still dead or was discarded."""

    letter_id: int
    state: State
    why: str = ""


def find(engine: Engine, *, settled: bool = False) -> list[DeadLetter]:
    """Return all dead letters, oldest entry first; with `settled` also redriven and discarded."""
    chosen = "true" if settled else partition_counts.UNSETTLED
    query = text(
        f"SELECT {_COLUMNS} FROM dead_letter WHERE {chosen} ORDER BY entry_id, id"  # noqa: S608 - our own words
    )
    with engine.begin() as connection:
        return [DeadLetter(*row) for row in connection.execute(query)]


def get(engine: Engine, letter_id: int) -> tuple[DeadLetter, bytes]:
    """Return one dead letter and its payload. Raises NotFound."""
    query = text(f"SELECT {_COLUMNS}, payload FROM dead_letter WHERE id = :id")  # noqa: S608 - our own words
    with engine.begin() as connection:
        row = connection.execute(query, {"id": letter_id}).one_or_none()
    if row is None:
        raise NotFound("there is no such dead letter")
    *columns, payload = row
    return DeadLetter(*columns), bytes(payload)


def redrive(engine: Engine, log: Log, letter_id: int) -> Outcome:
    """Try to apply one dead letter again. Raises NotFound if there is none, or it is settled.

    Where Redis is away, RedisError is raised, and nothing is redriven.
    """
    with _settling(engine, letter_id) as (connection, letter):
        owner = connection.execute(
            text("SELECT user_id, deleted_at FROM conversation WHERE id = :id"),
            {"id": letter.conversation_id},
        ).one_or_none()
        if owner is not None and owner.user_id == letter.user_id and owner.deleted_at:
            partition_counts.settle_deleted_conversation(
                connection.exec_driver_sql, letter.conversation_id
            )
            return Outcome(letter_id, "discarded", "its conversation was deleted")
        if reason := permanent_refusal(letter, owner) or apply(
            connection, letter, exists=bool(owner)
        ):
            return Outcome(letter_id, "dead", reason)
        # Its words for search are written anew, those of the whole conversation.
        connection.execute(_FORGET_WORDS, {"id": letter.conversation_id})
        partition_counts.settle_redriven(connection.exec_driver_sql, letter_id)
        log.forget_turns(letter.conversation_id)
    with suppress(RedisError):  # again, for a turn that loaded them before the commit
        log.forget_turns(letter.conversation_id)
    return Outcome(letter_id, "redriven")


def redrive_all(engine: Engine, log: Log) -> Iterator[Outcome]:
    """Redrive all unsettled letters, in the order of their entries, one transaction each."""
    for letter in find(engine):
        with suppress(NotFound):  # settled meanwhile
            yield redrive(engine, log, letter.id)


def discard(engine: Engine, letter_id: int, note: str) -> None:
    """Discard one dead letter, with a note why; its payload stays.

    Raises NotFound if there is none, or it is settled.
    """
    with _settling(engine, letter_id) as (connection, _):
        partition_counts.settle_discarded(connection.exec_driver_sql, letter_id, note)


@contextmanager
def _settling(engine: Engine, letter_id: int) -> Iterator[tuple[Connection, Row[Any]]]:
    """Yield a transaction and an unsettled letter, under its partition's lock.

    Raises NotFound if there is none, or it is settled.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(_TIMEOUTS)
        partitions = connection.execute(
            text("SELECT partition FROM dead_letter WHERE id = :id"), {"id": letter_id}
        ).scalars()
        partition_counts.lock(connection, partitions)
        letter = connection.execute(
            text(f"SELECT * FROM dead_letter WHERE id = :id AND {partition_counts.UNSETTLED}"),  # noqa: S608 - our own words
            {"id": letter_id},
        ).one_or_none()
        if letter is None:
            raise NotFound("there is no such dead letter, or it was settled already")
        yield connection, letter
