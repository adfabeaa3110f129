"""The log as coroutines reach it: the API's one asynchronous client of it.

What runs in a thread, inside a transaction of PostgreSQL, uses `api.core.log.Log` instead, as
workers and the command line do.

A reply never reaches a caller that it is not for. A connection serves one call at a time, and a
call that is cancelled or times out drops its connection, so that its late reply is never read.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final, Self, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from api.core import ids, log, log_keys
from api.core.entries import AcceptReply, AcceptRequest, Entry, read_entry
from api.core.errors import TooFewReplicas, Unavailable
from api.core.redis_client import redis_options, unavailable_on_error
from api.core.redis_kind import refuse_replica
from api.core.settings import Settings
from api.writes.owned_connection import OwnedConnection

T = TypeVar("T")

#: Connections of one pool, and how long a call waits for one of them.
CONNECTIONS: Final = 10
POOL_TIMEOUT_SECONDS: Final = 10.0
#: An id of this age is in the log, or was: the log never gives out ids behind its clock.
SETTLED_SECONDS: Final = 10.0
#: How long replicas may take to say that they have a call. The call's whole answer may take
#: ANSWER_SECONDS; one that is healthy says so within its fsync and the way there and back.
REPLICAS_MS: Final = 1_000


class AsyncLog:
    """The log, for coroutines. Every method raises Unavailable where Redis does not answer."""

    def __init__(
        self,
        client: Redis,
        namespace: str,
        owned: OwnedConnection | None = None,
        replicas: int = 0,
    ) -> None:
        self._client = client
        self._owned = owned
        self._ask = owned.ask if owned else client.execute_command
        self._replicas = replicas
        self.namespace = namespace
        #: How many replicas had the last accept call, where any are asked for.
        self.acknowledged = 0
        #: The database that the log must belong to, or "" before it is known.
        self.database_id = ""

    @classmethod
    def pool(cls, settings: Settings, client_name: str) -> Self:
        """Open a client that any number of coroutines may use at once."""
        connections = BlockingConnectionPool.from_url(
            settings.redis,
            max_connections=CONNECTIONS,
            timeout=POOL_TIMEOUT_SECONDS,
            **_options(client_name),
        )
        return cls(Redis.from_pool(connections), settings.log_namespace)

    @classmethod
    async def connected(cls, settings: Settings, client_name: str) -> Self:
        """Open one connection, for one task alone."""
        client: Redis = Redis.from_url(
            settings.redis, single_connection_client=True, **_options(client_name)
        )
        owned = OwnedConnection(client)
        opened = cls(client, settings.log_namespace, owned, settings.redis_replicas)
        try:
            await _answered(client.initialize())
            refuse_replica(await _answered(opened._ask("HELLO")))
        except BaseException:
            await opened.close()
            raise
        return opened

    async def run(
        self, operation: str, *arguments: bytes | str | int, at: Iterable[int] = log.ALL
    ) -> Any:
        """Run one of the script's operations, which touches keys of the partitions `at` only.

        Raises Unavailable also where the log belongs to another database, or while this process
        does not know its own: nothing must be written to another's log, or be read from it.
        """
        if not self.database_id:
            raise Unavailable("the log is not open yet")
        return await self._call(operation, self.database_id, at, arguments)

    async def accept(
        self, limits: log.Limits, deadline_ms: int, requests: Sequence[AcceptRequest]
    ) -> AcceptReply:
        """Accept requests in one call, which writes nothing after its deadline (Redis time).

        Raises TooFewReplicas if fewer than REDIS_REPLICAS have it within REPLICAS_MS.
        """
        partitions, arguments = log.accept_arguments(limits, deadline_ms, requests)
        numbers = list(partitions)
        ask = partial(self._ask_and_wait, numbers[0]) if self._replicas else self._ask
        reply = await self._call("accept", self.database_id, numbers, arguments, ask)
        return log.read_reply(reply)

    async def _ask_and_wait(self, partition: int, *command: bytes | str | int) -> Any:
        """Send a command with WAIT, in one message; return the command's answer.

        WAIT waits for what its own connection wrote last. A call that finds a key's earlier write,
        made over another connection, writes nothing: so something is written before each WAIT, and
        replicas that have that have all before it.
        """
        if self._owned is None:
            raise Unavailable("replicas are waited for on one task's own connection only")
        mark = ("SET", log_keys.key(self.namespace, partition, "replicated"), 1)
        wait = ("WAIT", self._replicas, REPLICAS_MS)
        answer, marked, count = await self._owned.ask_all(command, mark, wait)
        if isinstance(answer, ResponseError):
            raise answer
        # Either is an error where the server is full, or ceased to be the primary meanwhile.
        refused = isinstance(marked, ResponseError) or isinstance(count, ResponseError)
        self.acknowledged = 0 if refused else int(count)
        if self.acknowledged < self._replicas:
            raise TooFewReplicas("too few replicas have what was written")
        return answer

    async def spread_bell(self) -> None:
        """Set the bell of every partition, where that of any is set. Raises Unavailable."""
        await self.run("spread_bell")

    async def find(self, user_id: int, conversation_id: int, entry_id: int) -> Entry | None:
        """Return a user's entry if it is still in the log; else it is in PostgreSQL."""
        stream, name = self._key(conversation_id, "log"), f"{entry_id}-0"
        found: Any = await _answered(self._client.xrange(stream, name, name))
        for stream_id, fields in found:
            entry = read_entry(stream_id, [item for field in fields.items() for item in field])
            if (entry.user_id, entry.conversation_id) == (user_id, conversation_id):
                return entry
        return None

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
        """Return whether the log holds an entry, or a message of one, be it committed or not."""
        stream = self._key(written_id, "log")
        found: Any = await _answered(self._client.xrange(stream, min=written_id, count=1))
        for stream_id, fields in found:
            entry = read_entry(stream_id, [item for field in fields.items() for item in field])
            return written_id in {entry.id, *(message.id for message in entry.messages)}
        return False

    async def status(self) -> log.LogStatus:
        """Return every partition's tail, counts, bytes and oldest entry at one moment."""
        return log.read_status(await self._call("status", "", log.ALL, ()))

    async def workers(self) -> int:
        """Return how many workers have said within 15 s that they are there."""
        return int(await self._call("workers", "", (0,), ()))

    async def went_back(self) -> bool:
        """Return whether the log was found to have lost entries, and nobody acknowledged it."""
        return bool(await self._call("went_back", "", log.ALL, ()))

    async def counts(self) -> dict[str, int]:
        """Return what drains have counted so far."""
        counts: Any = await _answered(self._client.hgetall(self._key(0, "drain:counts")))
        return log.read_counts(counts)

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
        keys = [self._key(of, name) for of, name in names]
        for start in range(0, len(keys), log.FORGET_CHUNK):
            await _answered(self._client.unlink(*keys[start : start + log.FORGET_CHUNK]))

    async def evict(self, kinds: Collection[str], cursor: int) -> int:
        """Look at some keys, from a cursor on, and remove those of these kinds that may go.

        Returns the next cursor, 0 after the last keys. Kinds are `turns`, `stream`, `conv` and
        `ext`.
        """
        pattern = f"{{{self.namespace}:*}}:*"
        scan = self._client.scan(cursor, match=pattern, count=log.FORGET_CHUNK)
        cursor, keys = cast("tuple[int, list[bytes]]", await _answered(scan))
        found: list[str | int] = []
        for key in keys:
            kind, _, name = key.decode().partition("}:")[2].partition(":")
            # The name begins with a conversation's, a turn's or a user's id.
            of = name.partition(":")[0]
            if kind in kinds and of.isdecimal():
                found += ids.partition_of(int(of)), kind, name
        if found:
            await self.run("evict", *found)
        return int(cursor)

    async def drop_kept(self) -> int:
        """Remove what the log keeps though PostgreSQL has it; return how many entries it was."""
        return int(await self.run("drop_kept"))

    async def now_ms(self) -> float:
        """Return Redis' clock, in Unix milliseconds."""
        seconds, microseconds = await _answered(self._client.time())
        return seconds * 1000 + microseconds / 1000

    async def memory_ratio(self) -> float:
        """Return used memory as a part of Redis' maxmemory, 0 without a limit.

        Also 0 where a managed Redis refuses to say.
        """
        try:
            memory = cast("dict[str, Any]", await _answered(self._client.info("memory")))
        except Unavailable as error:
            if isinstance(error.__cause__, ResponseError):
                return 0.0
            raise
        most = int(memory.get("maxmemory", 0))
        return int(memory["used_memory"]) / most if most else 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _key(self, of: int, name: str) -> str:
        return log_keys.key(self.namespace, of, name)

    async def _call(
        self,
        operation: str,
        database_id: str,
        at: Iterable[int],
        arguments: Iterable[bytes | str | int],
        ask: Callable[..., Awaitable[Any]] | None = None,
    ) -> Any:
        """Run the script. Only a script that Redis does not know is sent again."""
        ask = ask or self._ask
        script = log.SCRIPTS[operation]
        keys, call = log.script_call(self.namespace, operation, database_id, at, arguments)
        with unavailable_on_error(), log.refusing_another_database():
            try:
                return await ask("EVALSHA", script.sha, keys, *call)
            except NoScriptError:
                return await ask("EVAL", script.text, keys, *call)


def _options(client_name: str) -> dict[str, Any]:
    # redis-py's default retries a call that timed out, and so writes it several times.
    return {"retry": Retry(NoBackoff(), 0), **redis_options(client_name)}


async def _answered(reply: Awaitable[T]) -> T:
    with unavailable_on_error():
        return await reply
