"""What the log remembers beside its entries: forgotten, damaged, or somebody else's."""

import asyncio
import time
from itertools import count
from typing import ClassVar, Final

from redis import Redis

from api.core import log_keys
from api.core.accept_requests import AcceptRequest
from api.core.ids import ALL_PARTITIONS, first_at
from api.core.log import Log
from tests.chaos.faults.base import Fault, Pest
from tests.chaos.history import Answered, Invoked, Outcome, Shut
from tests.chaos.log_poison import FAR_AHEAD_MS, LIMITS
from tests.chaos.node import Node
from tests.chaos.site import NAMESPACE
from tests.chaos.tables import digest
from tests.support.log_requests import bound

#: Adds an entry with an old id to a log that is empty at this moment; 0 if it is not.
_REUSE: Final = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('XSETID', KEYS[1], ARGV[1] .. '-0')
redis.call('XADD', KEYS[1], ARGV[2] .. '-0', 'v', '1', 'op', 'add', 'user', ARGV[3],
    'conv', ARGV[4], 'role', 'user', 'status', 'stored', 'at', ARGV[5], 'total', '0',
    'data', ARGV[6])
redis.call('INCR', KEYS[2])
return 1
"""
_OLD_MESSAGES: Final = (
    "SELECT m.id, m.conversation_id, m.user_id FROM message AS m"
    " JOIN conversation AS c ON c.id = m.conversation_id"
    # What was changed there since is older than the change, and would be taken for applied.
    " WHERE c.deleted_at IS NULL AND c.tags IS NULL AND c.forked_from IS NULL"
    " ORDER BY random() LIMIT 40"
)
_REUSES_MOST: Final = 5
_TOMBSTONES: Final = (
    "SELECT id, user_id FROM conversation"
    " WHERE deleted_at IS NOT NULL AND message_count = 0 ORDER BY deleted_at DESC LIMIT 3"
)
#: How long to wait for somebody to delete a conversation.
_DELETED_SECONDS: Final = 20.0
#: How long to wait for APIs to start, and to find that they must not.
_DECIDED_SECONDS: Final = 30.0
_names: Final = count(1)
#: Deletes what is known of a conversation, unless it was changed of late or written to since an id.
_SILENT: Final = """
local last, rewritten = unpack(redis.call('HMGET', KEYS[1], 'last', 'rewritten'))
if not rewritten and tonumber(last or '0') < tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) end
"""
#: Longer than any write takes.
_SILENT_MS: Final = 30_000


class TurnsForgotten(Pest):
    """The recent turns of every conversation expire, again and again."""

    name = "log: forgets recent turns"
    target = "memory"
    pause_seconds = 0.3

    def once(self) -> None:
        _forget(self.site.client(), "turns:*")


class OwnersForgotten(Pest):
    """What the log knows of every silent conversation is gone, as after 7 days of silence.

    Not of one that is being written to: nothing makes the log forget that, and what PostgreSQL was
    just asked about, the last message or a change, would be accepted though another one came first.
    """

    name = "log: forgets conversations"
    target = "memory"
    pause_seconds = 0.2

    def once(self) -> None:
        since = first_at(int(time.time() * 1000) - _SILENT_MS, 0)
        _forget(self.site.client(), "conv:*", _SILENT, since)


class TurnsDamaged(Fault):
    """Keys of the log hold something else, so that commands on them fail."""

    name = "log: damaged keys"
    target = "memory"

    async def inject(self) -> None:
        def damage(client: Redis) -> None:
            for key in client.scan_iter(f"{{{NAMESPACE}:*}}:turns:*", count=1_000):
                client.set(key, "damaged")

        await self.site.ask_redis(damage)

    async def heal(self) -> None:
        await self.site.ask_redis(lambda client: _forget(client, "turns:*"))


class IdsReused(Fault):
    """The log holds other words under ids that PostgreSQL has: none may be dropped."""

    name = "log: reuses ids"
    target = "memory"

    async def inject(self) -> None:
        reused = 0
        for entry, conversation, user in await self.site.ask_postgres(_OLD_MESSAGES):
            if await self._reuse(entry, conversation, user):
                reused += 1
            if reused == _REUSES_MOST:
                return

    async def _reuse(self, entry: int, conversation: int, user: int) -> bool:
        op = f"m{self.stage.rng.randrange(1_000_000)}-{next(_names)}"
        data = f"#{op}# other words under a known id"
        keys = [log_keys.key(NAMESPACE, conversation, kind) for kind in ("log", "accepted")]
        arguments = (entry - 1, entry, user, conversation, int(time.time() * 1000), data)
        began = time.monotonic()
        if not await self.site.ask_redis(
            lambda client: client.eval(_REUSE, len(keys), *keys, *arguments)
        ):
            return False
        history = self.stage.history
        history.add(Invoked(began, op, "misfit", user, conversation, "user", digest(data)))
        history.add(Answered(time.monotonic(), op, "ok", entry=entry))
        return True


class DeletionOvertaken(Fault):
    """An API was held up after it had looked, and adds to what was deleted and drained meanwhile.

    What it adds comes too late: it is dropped, counted, and no dead letter keeps its words.
    """

    name = "log: takes messages of deleted conversations"
    target = "memory"

    async def inject(self) -> None:
        async with asyncio.timeout(_DELETED_SECONDS):
            while not (tombstones := await self.site.ask_postgres(_TOMBSTONES)):  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.2)
        for conversation, user in tombstones:
            await self._add(conversation, user)

    async def _add(self, conversation: int, user: int) -> None:
        op = f"d{self.stage.rng.randrange(1_000_000)}-{next(_names)}"
        data = f"#{op}# too late".encode()
        request = AcceptRequest(
            *("add", user, "message", conversation, "user"), data=data, key=op, state="live"
        )
        history = self.stage.history
        history.add(
            Invoked(time.monotonic(), op, "message", user, conversation, "user", digest(data))
        )

        def add(client: Redis) -> int:
            client.delete(log_keys.key(NAMESPACE, conversation, f"conv:{conversation}"))
            log = bound(Log(client, NAMESPACE))
            answer = log.accept(LIMITS, FAR_AHEAD_MS, [request]).results[0]
            return answer.id if answer.status in {"ok", "replay"} else 0

        entry = await self.site.ask_redis(add)
        outcome: Outcome = "ok" if entry else "refused"
        history.add(Answered(time.monotonic(), op, outcome, entry=entry))


class OtherDatabase(Fault):
    """Redis has the log of another database: nobody may write to it, or drain it."""

    name = "log: belongs to another database"
    target = "redis"
    seconds = 4.0
    brief_seconds = 2.0
    _keys: ClassVar = [
        log_keys.key(NAMESPACE, partition, "database") for partition in ALL_PARTITIONS
    ]

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._owner: bytes | None = None
        self._began = 0.0

    async def inject(self) -> None:
        def change(client: Redis) -> bytes | None:
            known = client.get(self._keys[0])
            client.mset(dict.fromkeys(self._keys, "00000000-0000-0000-0000-000000000000"))
            return known  # type: ignore[return-value]

        self._owner = await self.site.ask_redis(change)
        starts = {api: api.supervised.starts for api in self.site.apis}
        for node in (*self.site.apis, *self.site.workers):
            node.kill()
        await asyncio.sleep(0.2)
        self._began = time.monotonic()
        async with asyncio.timeout(_DECIDED_SECONDS):
            for api, before in starts.items():
                while not await asyncio.to_thread(_has_decided, api, before):  # noqa: ASYNC110 - polled
                    await asyncio.sleep(0.1)

    async def heal(self) -> None:
        why = "the log belongs to another database"
        self.stage.history.add(Shut(self._began, time.monotonic(), why))
        owner = self._owner
        if owner is not None:
            await self.site.ask_redis(lambda client: client.mset(dict.fromkeys(self._keys, owner)))
        for node in (*self.site.apis, *self.site.workers):
            node.kill()


def _has_decided(api: Node, starts: int) -> bool:
    """Tell whether it was started again and serves, or has refused to by ending."""
    return api.supervised.starts > starts + 1 or api.supervised.program.answers()


def _forget(
    client: Redis, pattern: str, script: str = "redis.call('DEL', KEYS[1])", *arguments: int
) -> None:
    with client:
        for key in client.scan_iter(f"{{{NAMESPACE}:*}}:{pattern}", count=1_000):
            client.eval(script, 1, key, *arguments)


FAULTS: Final = (
    TurnsForgotten,
    OwnersForgotten,
    TurnsDamaged,
    IdsReused,
    DeletionOvertaken,
    OtherDatabase,
)
