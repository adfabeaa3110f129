"""The log as coroutines reach it: the API's one asynchronous client of it.

What runs in a thread, inside a transaction of PostgreSQL, uses `api.core.log.Log` instead, as
workers and the command line do.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final, Self, cast

from redis.asyncio import BlockingConnectionPool, Redis

from api.core import ids, redis_urls
from api.core.entries import Entry, read_entry
from api.core.ids import ALL_PARTITIONS
from api.core.log_keys import FORGET_CHUNK
from api.core.log_status import LogStatus, read_counts, read_status
from api.core.settings import Settings
from api.writes.async_log_client import AsyncLogClient, answered, client_options
from api.writes.async_servers import AsyncFollowedServers, AsyncServers

#: Connections of one pool, and how long a call waits for one of them.
CONNECTIONS: Final = 10
POOL_TIMEOUT_SECONDS: Final = 10.0
#: An id of this age is in the log, or was: the log never gives out ids behind its clock.
SETTLED_SECONDS: Final = 10.0


class AsyncLog(AsyncLogClient):
    """The log, for any number of coroutines at once."""

    @classmethod
    def pool(cls, settings: Settings, client_name: str) -> Self:
        """Open a client that any number of coroutines may use at once."""

        def client_of(url: str) -> Redis:
            connections = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=POOL_TIMEOUT_SECONDS,
                **client_options(client_name),
            )
            return Redis.from_pool(connections)

        if redis_urls.is_server(settings.redis):
            servers = AsyncServers(client_of(settings.redis))
        else:
            servers = AsyncFollowedServers(settings.redis, client_of)
        return cls(servers, settings.log_namespace)

    async def find(self, user_id: int, conversation_id: int, entry_id: int) -> Entry | None:
        """Return a user's entry if it is still in the log; else it is in PostgreSQL."""
        stream, name = self._key(conversation_id, "log"), f"{entry_id}-0"
        found: Any = await self._at(
            conversation_id, lambda client: client.xrange(stream, name, name)
        )
        for stream_id, fields in found:
            entry = read_entry(stream_id, [item for field in fields.items() for item in field])
            if (entry.user_id, entry.conversation_id) == (user_id, conversation_id):
                return entry
        return None

    async def last_entry(self, user_id: int, conversation_id: int) -> int:
        """Return the last entry of a user's conversation, as far as the log knows; 0: it does not.

        Of a conversation that it does not know, PostgreSQL has everything. Raises Unavailable.
        """
        name = self._key(conversation_id, f"conv:{conversation_id}")
        known = await self._at(
            conversation_id, lambda client: client.hmget(name, ["owner", "last"])
        )
        owner, last = known
        return int(last or 0) if owner == str(user_id).encode() else 0

    async def last_pending(self, conversation_id: int) -> list[int]:
        """Return the last entry of a partition, by an id in it, if any of it is not drained yet."""
        partition = (await self.status()).partitions[ids.partition_of(conversation_id)]
        return [partition.tail] if partition.tail and partition.entries else []

    async def absent(self, entry_ids: Iterable[int]) -> frozenset[int]:
        """Return those of the ids that the log does not hold, and will not give out any more.

        What was accepted under one of them is in PostgreSQL, or lost. Raises Unavailable.
        """
        wanted = list(entry_ids)
        # A young id is none of them, whatever becomes of clocks and servers meanwhile.
        settled_ms = await self.now_ms() - SETTLED_SECONDS * 1000
        heads = await self.run("heads", "", at={ids.partition_of(entry_id) for entry_id in wanted})
        oldest = {int(partition): int(first_id) for partition, first_id, _ in heads}
        return frozenset(
            [
                entry_id
                for entry_id in wanted
                if ids.unix_ms_of(entry_id) < settled_ms
                # While something before it waits, it is not its turn.
                and oldest.get(ids.partition_of(entry_id), ids.MAX_ID + 1) > entry_id
                and not await self._keeps(entry_id)
            ]
        )

    async def _keeps(self, written_id: int) -> bool:
        """Return whether the log holds an entry, or what it makes, be it committed or not."""
        stream = self._key(written_id, "log")
        found: Any = await self._at(
            written_id, lambda client: client.xrange(stream, min=written_id, count=1)
        )
        for stream_id, fields in found:
            entry = read_entry(stream_id, [item for field in fields.items() for item in field])
            made = {entry.id, *(message.id for message in entry.messages)}
            if entry.op == "fork":  # Its id is that of its last message.
                made.add(entry.conversation_id)
            return written_id in made
        return False

    async def status(self) -> LogStatus:
        """Return every partition's tail, counts, bytes and oldest entry at one moment."""
        return read_status(await self._call("status", "", ALL_PARTITIONS, ()))

    async def counts(self) -> dict[str, int]:
        """Return what drains have counted so far."""
        name = self._key(0, "drain:counts")
        counts: Any = await self._at(0, lambda client: client.hgetall(name))
        return read_counts(counts)

    async def workers(self) -> int:
        """Return how many workers have said within 15 s that they are there."""
        return int(await self._call("workers", "", (0,), ()))

    async def went_back(self) -> bool:
        """Return whether the log was found to have lost entries, and nobody acknowledged it."""
        return bool(await self._call("went_back", "", ALL_PARTITIONS, ()))

    async def unbalanced(self) -> int:
        """Return how many partitions did not balance when a worker audited them last."""
        name = self._key(0, "unbalanced")
        found: Any = await self._at(0, lambda client: client.get(name))
        return int(found or 0)

    async def tokens(self, user_id: int, more: int = 0) -> tuple[int, int]:
        """Count tokens that a model took for a user; return today's, and seconds until it ends."""
        spent, left = await self.run("tokens", user_id, more, at=(ids.partition_of(user_id),))
        return int(spent), int(left)

    async def refuse_user(self, user_id: int, seconds: int) -> None:
        """Block a user's writes for some seconds; 0 unblocks. Raises Unavailable."""
        await self.run("gone", user_id, seconds)

    async def revoke(self, user_id: int, sessions: Sequence[str], seconds: int) -> None:
        """Revoke sessions for as long as an access token of theirs may live."""
        await self.run("revoke", seconds, user_id, *sessions)

    async def revoked(self) -> frozenset[str]:
        """Return the revoked sessions, as `<user>:<session>`."""
        members = await self._call("revoked", self.database_id, (0,), ())
        return frozenset(member.decode() for member in members)

    async def forget(self, names: Iterable[tuple[int, str]]) -> None:
        """Remove keys that belonged to a deleted account, each `of, name` as in `Log.key`."""
        keys: dict[int, list[str]] = {}
        for of, name in names:
            # On one server all go together.
            group = ids.partition_of(of) if self.servers.is_cluster else 0
            keys.setdefault(group, []).append(self._key(of, name))
        for partition, known in keys.items():
            for start in range(0, len(known), FORGET_CHUNK):
                chunk = known[start : start + FORGET_CHUNK]
                await self._at(partition, partial(_unlink, chunk))

    async def evict(self, kinds: Collection[str], cursor: int) -> int:
        """Look at some keys, from a cursor on, and remove those of these kinds that may go.

        Returns the next cursor, 0 after the last keys. Kinds are `turns`, `stream`, `conv` and
        `ext`.
        """
        pattern = f"{{{self.namespace}:*}}:*"
        masters = await answered(self.servers.masters())
        # One number for both: the master, and where in its keys.
        within, number = divmod(cursor, len(masters))
        scan = masters[number].scan(within, match=pattern, count=FORGET_CHUNK)
        within, keys = cast("tuple[int, list[bytes]]", await answered(scan))
        found: list[str | int] = []
        for key in keys:
            kind, _, name = key.decode().partition("}:")[2].partition(":")
            # The name begins with a conversation's, a turn's or a user's id.
            of = name.partition(":")[0]
            if kind in kinds and of.isdecimal():
                found += ids.partition_of(int(of)), kind, name
        if found:
            await self.run("evict", *found)
        if not within:
            number += 1
        return int(within) * len(masters) + number if number < len(masters) else 0

    async def drop_kept(self) -> int:
        """Remove what the log keeps though PostgreSQL has it; return how many entries it was."""
        return int(await self.run("drop_kept"))


async def _unlink(keys: Sequence[str], client: Redis) -> None:
    await client.unlink(*keys)
