"""Leave the names that the log's keys had before they carried their partition as hash tag.

A log under the old names must be empty before one under the new names is opened: nothing would
drain it. It is then marked as another database's, which an old process refuses to write to.
"""

from typing import Any, Final

from redis import Redis

from api.core.errors import OldLogError
from api.core.ids import PARTITIONS

#: The version whose workers drain such a log.
DRAINED_BY: Final = "0.1"
#: What the old `database` key says afterwards.
_LEFT: Final = "left for keys that carry their partition"
#: → entries under the old names, revoked sessions, the clock (ms); nothing where they were left.
#: KEYS: database, revoked, log…   ARGV: what marks the log as left, the caller's database
_LEAVE: Final = """
local owner = redis.call('GET', KEYS[1])
if not owner or owner == ARGV[1] then return {} end
if owner ~= ARGV[2] then return redis.error_reply('WRONGDATABASE the log belongs to another') end
local entries = 0
for i = 3, #KEYS do entries = entries + redis.call('XLEN', KEYS[i]) end
if entries == 0 then redis.call('SET', KEYS[1], ARGV[1]) end
local time = redis.call('TIME')
return { entries, redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'), time[1] * 1000 }
"""


def known(redis: Redis, namespace: str) -> bool:
    """Return whether a log under the old names was ever there."""
    return redis.exists(f"{namespace}:database") == 1


def leave(redis: Redis, namespace: str, database_id: str) -> list[tuple[int, str, int]] | None:
    """Mark a log under the old names as left, once; return None where there is none.

    Returns the sessions that it knew as revoked: user, session, seconds for which a token of it may
    live. Raises OldLogError where the log still has entries.
    """
    if not known(redis, namespace):
        return None
    names = ("database", "revoked", *(f"log:{number}" for number in range(PARTITIONS)))
    keys = [f"{namespace}:{name}" for name in names]
    found: Any = redis.eval(_LEAVE, len(keys), *keys, _LEFT, database_id)
    if not found:
        return None
    entries, revoked, now_ms = found
    if entries:
        raise OldLogError(
            f"the log on this Redis holds {entries} entries under the key names of version "
            f"{DRAINED_BY}; start workers of that version until `verbatim status` shows no backlog"
        )
    sessions = [
        (*member.decode().split(":", 1), (float(ends_ms) - now_ms) / 1000)
        for member, ends_ms in zip(revoked[::2], revoked[1::2], strict=True)
    ]
    return [(int(user), session, int(left) + 1) for user, session, left in sessions if left > 0]
