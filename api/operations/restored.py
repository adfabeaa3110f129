"""After a restore: what PostgreSQL lacks that was answered, and what must be forgotten with it.

A PostgreSQL that went back further than the log keeps has lost entries for good. What Redis knows
points to them: recent turns, idempotency keys, conversations, external ids. And what was ended or
deleted since is back: sign-in sessions, API keys, shared links, accounts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, cast

from redis import Redis
from sqlalchemy import Connection, Engine, text

from api.core import ids, partition_counts
from api.core.ids import ALL_PARTITIONS
from api.core.log import Log

_TIMEOUTS: Final = partition_counts.timeouts(lock_seconds=15, statement_seconds=60)
#: Bytes of an entry's id at the start of an idempotency record (`api/core/lua/idempotency.lua`).
_ID_BYTES: Final = 7


@dataclass(frozen=True, slots=True)
class Gap:
    """What one partition lacks: entries above one id, and below another."""

    partition: int
    above: int
    below: int
    entries: int

    def has(self, entry_id: int) -> bool:
        """Return whether an entry of this id is lost, if there was one."""
        return self.above < entry_id < self.below


@dataclass(slots=True)
class Found:
    """What the log knows to be missing in PostgreSQL."""

    #: By partition, of those that PostgreSQL has less of than it had.
    gaps: dict[int, Gap] = field(default_factory=dict)
    #: Entries that it lacks, and that the log has still.
    kept: int = 0
    log_went_back_at_ms: int | None = None
    #: Conversations that lost entries, or are lost themselves, with their owners.
    conversations: dict[int, int] = field(default_factory=dict)
    #: Users whose accounts were deleted within the last day.
    deleted_users: set[int] = field(default_factory=set)

    @property
    def lost(self) -> int:
        """Entries that are neither in PostgreSQL nor in the log."""
        return sum(gap.entries for gap in self.gaps.values())

    @property
    def went_back(self) -> bool:
        """Whether PostgreSQL, or the log, was found to have gone back."""
        return bool(self.gaps) or self.log_went_back_at_ms is not None

    def period_ms(self) -> tuple[float, float]:
        """Return from when to when, in Unix ms, what is lost had been accepted at most."""
        lossy = [gap for gap in self.gaps.values() if gap.entries]
        return (
            min(ids.unix_ms_of(gap.above) for gap in lossy),
            max(ids.unix_ms_of(gap.below) for gap in lossy),
        )


def look(log: Log, engine: Engine) -> Found:
    """Return what is missing. Waits for drains, for a batch each."""
    with engine.begin() as connection:
        return _look(log, _locked(connection))


def mend(log: Log, engine: Engine) -> Found:
    """Go on without what is lost: count anew, forget what points to it; return what was missing.

    What the log has still is drained again by the next drain. Safe to repeat.
    """
    with engine.begin() as connection:
        locked = _locked(connection)
        found = _look(log, locked)
        if found.gaps:
            stored = [(p, locked[p].last_id, locked[p].counted) for p in found.gaps]
            log.take_again(stored, lost_is_known=True)
        _forget(log, found)
    log.acknowledge_going_back()
    return found


def end_sessions(log: Log, owner: Engine, token_seconds: int) -> tuple[int, int, int]:
    """End all sign-in sessions, the API keys that Redis knows as revoked, and all shared links.

    Returns the numbers. Which links were revoked since the backup nobody knows.

    `owner` connects as the owner of the tables, who may do so for everybody.
    """
    sessions: dict[int, list[str]] = {}
    with owner.begin() as connection:
        for user_id, name in connection.execute(
            text("DELETE FROM session RETURNING user_id, id")
        ).all():
            sessions.setdefault(user_id, []).append(name)
        members: list[bytes] = log.run("revoked", at=(0,))
        names = [member.decode().partition(":")[2] for member in members]
        keys = connection.execute(
            text("DELETE FROM api_key WHERE id = ANY(:names)"), {"names": names}
        )
        links = connection.execute(text("DELETE FROM shared_link"))
        for user_id, ended in sessions.items():
            log.revoke(user_id, ended, token_seconds)
    return sum(map(len, sessions.values())), keys.rowcount, links.rowcount


def _locked(connection: Connection) -> dict[int, partition_counts.Locked]:
    connection.exec_driver_sql(_TIMEOUTS)
    return partition_counts.lock(connection, ALL_PARTITIONS)


def _look(log: Log, locked: dict[int, partition_counts.Locked]) -> Found:
    log.database_id = locked[0].database_id
    marks = log.marks(ALL_PARTITIONS)
    found = Found(log_went_back_at_ms=log.went_back_at_ms())
    for partition, row in locked.items():
        if marks.committed[partition] <= row.last_id:
            continue
        accepted, above = log.balance(partition, row.last_id)
        first = log.first_above(partition, row.last_id)
        below = first or marks.committed[partition] + 1
        lost = max((accepted or 0) - row.counted - above, 0)
        found.gaps[partition] = Gap(partition, row.last_id, below, lost)
        found.kept += above
    if found.gaps:
        for _, name, owner in _conversations(log, found):
            found.conversations[_id_in(name)] = owner
    for _, name in log.scan("gone:*"):
        found.deleted_users.add(_id_in(name))
    return found


def _forget(log: Log, found: Found) -> None:
    """Remove from Redis what points to what is lost."""
    if found.log_went_back_at_ms is not None or found.gaps:
        # A list that exists is taken to be complete.
        log.forget("turns:*")
    for redis, name, _ in list(_conversations(log, found)):
        redis.unlink(name)
    for redis, name in log.scan("ext:*"):
        conversation = int(cast("bytes", redis.get(name)) or b"0")
        gap = found.gaps.get(ids.partition_of(abs(conversation)))
        if gap and (conversation < 0 or gap.has(conversation)):
            redis.unlink(name)
    for redis, name in log.scan("idem:*"):
        records = cast("dict[bytes, bytes]", redis.hgetall(name))
        if lost := [field for field, record in records.items() if _is_lost(found, record)]:
            redis.hdel(name, *lost)


def _is_lost(found: Found, record: bytes) -> bool:
    entry_id = int.from_bytes(record[:_ID_BYTES])
    gap = found.gaps.get(ids.partition_of(entry_id))
    return gap is not None and gap.has(entry_id)


def _conversations(log: Log, found: Found) -> Iterator[tuple[Redis, bytes, int]]:
    """Yield the keys of conversations that may have lost something, with server and owner."""
    for redis, name in log.scan("conv:*"):
        gap = found.gaps.get(ids.partition_of(_id_in(name)))
        if gap and gap.entries:
            owner, last = cast("list[bytes | None]", redis.hmget(name, "owner", "last"))
            if owner and int(last or 0) > gap.above:
                yield redis, name, int(owner)


def _id_in(name: bytes) -> int:
    """Return the id at the end of a key."""
    return int(name.rpartition(b":")[2])
