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

from api.core import ids, log, log_calls, log_keys, log_scripts, redis_urls
from api.core.entries import AcceptReply, AcceptRequest, Entry, read_entry
from api.core.errors import TooFewReplicas, Unavailable
from api.core.log_servers import NOT_DONE
from api.core.master_map import Command
from api.core.redis_client import redis_options, unavailable_on_error
from api.core.redis_kind import refuse_replica
from api.core.settings import Settings
from api.writes.async_servers import AsyncFollowedServers, AsyncServers
from api.writes.owned_connection import OwnedConnection

T = TypeVar("T")

#: Connections of one pool, and how long a call waits for one of them.
CONNECTIONS: Final = 10
POOL_TIMEOUT_SECONDS: Final = 10.0
#: An id of this age is in the log, or was: the log never gives out ids behind its clock.
SETTLED_SECONDS: Final = 10.0


class AsyncLog:
    """The log, for coroutines. Every method raises Unavailable where Redis does not answer."""

    def __init__(
        self,
        servers: Redis | AsyncServers,
        namespace: str,
        owned: OwnedConnection | None = None,
        replicas: int = 0,
        *,
        is_one_of_many: bool = False,
    ) -> None:
        #: What it speaks to Redis with.
        self.servers = servers if isinstance(servers, AsyncServers) else AsyncServers(servers)
        self._owned = owned
        self._replicas = replicas
        #: It is the connection to one master of a cluster, which takes one partition in each call.
        self._is_one_of_many = is_one_of_many
        self.namespace = namespace
        #: How many replicas had the last accept call, where any are asked for.
        self.acknowledged = 0
        #: The database that the log must belong to, or "" before it is known.
        self.database_id = ""

    @classmethod
    def pool(cls, settings: Settings, client_name: str) -> Self:
        """Open a client that any number of coroutines may use at once."""

        def client_of(url: str) -> Redis:
            connections = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=POOL_TIMEOUT_SECONDS,
                **_options(client_name),
            )
            return Redis.from_pool(connections)

        if redis_urls.is_server(settings.redis):
            servers = AsyncServers(client_of(settings.redis))
        else:
            servers = AsyncFollowedServers(settings.redis, client_of)
        return cls(servers, settings.log_namespace)

    @classmethod
    async def connected(
        cls, settings: Settings, client_name: str, master: str | None = None
    ) -> Self:
        """Open one connection, for one task alone; to one of several masters, by its URL."""
        url = master or settings.redis
        client: Redis = Redis.from_url(url, single_connection_client=True, **_options(client_name))
        owned = OwnedConnection(client)
        opened = cls(
            client,
            settings.log_namespace,
            owned,
            settings.redis_replicas,
            is_one_of_many=redis_urls.is_cluster(settings.redis),
        )
        try:
            await _answered(client.initialize())
            await opened.refuse_replica()
        except BaseException:
            await opened.close()
            raise
        return opened

    async def refuse_replica(self) -> None:
        """Raise Unavailable if its one connection leads to a replica: it would take no write."""
        if self._owned is not None:
            refuse_replica(await _answered(self._owned.ask("HELLO")))

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
        self,
        limits: log.Limits,
        deadline_ms: int,
        requests: Sequence[AcceptRequest],
        at: Iterable[int] = log.ALL,
    ) -> AcceptReply:
        """Accept requests in one call, which writes nothing after its deadline (Redis time).

        Without requests it looks whether the partitions `at` are open. Raises TooFewReplicas if
        fewer than REDIS_REPLICAS have it within REPLICAS_MS, ReadOnlyLog if nothing was done, and
        nothing can be.
        """
        if self._is_one_of_many:
            parts = log.accept_parts(limits, deadline_ms, requests, at)
            answers = await self._ask_parts("accept", self.database_id, parts)
            refused = [answer for answer in answers if not isinstance(answer, NOT_DONE)]
            with unavailable_on_error():
                log.raised(refused)
            return log.read_replies(parts, answers)
        partitions, arguments = log.accept_arguments(limits, deadline_ms, requests)
        numbers = list(partitions)
        ask = partial(self._ask_and_wait, numbers[0]) if self._replicas else None
        reply = await self._call("accept", self.database_id, numbers, arguments, ask)
        return log.read_reply(reply)

    async def _ask_and_wait(self, partition: int, *command: bytes | str | int) -> Any:
        """Send a command with WAIT, in one message; return the command's answer."""
        (answer,) = await self._all_and_wait((partition,), [command])
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    async def _all_and_wait(
        self, partitions: Sequence[int], commands: Sequence[Command]
    ) -> list[Any]:
        """Send commands with WAIT, in one message; return their answers.

        WAIT waits for what its own connection wrote last. A call that finds a key's earlier write,
        made over another connection, writes nothing: so something is written before each WAIT, and
        replicas that have that have all before it.
        """
        if self._owned is None:
            raise Unavailable("replicas are waited for on one task's own connection only")
        marks = [("SET", log_keys.key(self.namespace, one, "replicated"), 1) for one in partitions]
        wait = ("WAIT", self._replicas, log.REPLICAS_MS)
        *found, count = await self._owned.ask_all(*commands, *marks, wait)
        answers, marked = found[: len(commands)], found[len(commands) :]
        # What is elsewhere has nothing here to wait for.
        done = [not isinstance(answer, NOT_DONE) for answer in answers]
        # Either is an error where the server is full, or ceased to be the primary meanwhile.
        refused = isinstance(count, ResponseError) or any(
            isinstance(mark, ResponseError) for mark, one in zip(marked, done, strict=True) if one
        )
        self.acknowledged = 0 if refused else int(count)
        if any(done) and self.acknowledged < self._replicas:
            raise TooFewReplicas("too few replicas have what was written")
        return answers

    async def spread_bell(self) -> None:
        """Set the bell of every partition, where that of any is set. Raises Unavailable.

        Not on a cluster, where no call sees two of them: each rings for itself.
        """
        if not self._is_one_of_many:
            await self.run("spread_bell")

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

    async def status(self) -> log.LogStatus:
        """Return every partition's tail, counts, bytes and oldest entry at one moment."""
        return log.read_status(await self._call("status", "", log.ALL, ()))

    async def tokens(self, user_id: int, more: int = 0) -> tuple[int, int]:
        """Count tokens that a model took for a user; return today's, and seconds until it ends."""
        spent, left = await self.run("tokens", user_id, more, at=(ids.partition_of(user_id),))
        return int(spent), int(left)

    async def last_pending(self, conversation_id: int) -> list[int]:
        """Return the last entry of a partition, by an id in it, if any of it is not drained yet."""
        partition = (await self.status()).partitions[ids.partition_of(conversation_id)]
        return [partition.tail] if partition.tail and partition.entries else []

    async def workers(self) -> int:
        """Return how many workers have said within 15 s that they are there."""
        return int(await self._call("workers", "", (0,), ()))

    async def went_back(self) -> bool:
        """Return whether the log was found to have lost entries, and nobody acknowledged it."""
        return bool(await self._call("went_back", "", log.ALL, ()))

    async def unbalanced(self) -> int:
        """Return how many partitions did not balance when a worker audited them last."""
        name = self._key(0, "unbalanced")
        found: Any = await self._at(0, lambda client: client.get(name))
        return int(found or 0)

    async def counts(self) -> dict[str, int]:
        """Return what drains have counted so far."""
        name = self._key(0, "drain:counts")
        counts: Any = await self._at(0, lambda client: client.hgetall(name))
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
        keys: dict[int, list[str]] = {}
        for of, name in names:
            # On one server all go together.
            group = ids.partition_of(of) if self.servers.is_cluster else 0
            keys.setdefault(group, []).append(self._key(of, name))
        for partition, known in keys.items():
            for start in range(0, len(known), log.FORGET_CHUNK):
                chunk = known[start : start + log.FORGET_CHUNK]
                await self._at(partition, partial(_unlink, chunk))

    async def evict(self, kinds: Collection[str], cursor: int) -> int:
        """Look at some keys, from a cursor on, and remove those of these kinds that may go.

        Returns the next cursor, 0 after the last keys. Kinds are `turns`, `stream`, `conv` and
        `ext`.
        """
        pattern = f"{{{self.namespace}:*}}:*"
        masters = await _answered(self.servers.masters())
        # One number for both: the master, and where in its keys.
        within, number = divmod(cursor, len(masters))
        scan = masters[number].scan(within, match=pattern, count=log.FORGET_CHUNK)
        within, keys = cast("tuple[int, list[bytes]]", await _answered(scan))
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

    async def now_ms(self) -> float:
        """Return Redis' clock, in Unix milliseconds; of several the one that is most behind."""
        times = [
            await _answered(client.time()) for client in await _answered(self.servers.masters())
        ]
        return min(seconds * 1000 + microseconds / 1000 for seconds, microseconds in times)

    async def memory_ratio(self) -> float:
        """Return used memory as a part of Redis' maxmemory, 0 without a limit; the most of several.

        Also 0 where a managed Redis refuses to say.
        """
        masters = await _answered(self.servers.masters())
        return max([await self._memory_ratio_of(client) for client in masters])

    async def _memory_ratio_of(self, client: Redis) -> float:
        try:
            memory = cast("dict[str, Any]", await _answered(client.info("memory")))
        except Unavailable as error:
            if isinstance(error.__cause__, ResponseError):
                return 0.0
            raise
        most = int(memory.get("maxmemory", 0))
        return int(memory["used_memory"]) / most if most else 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self.servers.close()

    def _key(self, of: int, name: str) -> str:
        return log_keys.key(self.namespace, of, name)

    async def _at(self, of: int, question: Callable[[Redis], Awaitable[T]]) -> T:
        """Return what the server of a partition answers."""
        return await _answered(self.servers.ask(log_keys.slot(self.namespace, of), question))

    async def _call(
        self,
        operation: str,
        database_id: str,
        at: Iterable[int],
        arguments: Sequence[bytes | str | int],
        ask: Callable[..., Awaitable[Any]] | None = None,
    ) -> Any:
        """Run the script. Only a script that Redis does not know is sent again."""
        with unavailable_on_error(), log.refusing_another_database():
            if self.servers.is_cluster:
                parts = log_calls.split(operation, at, arguments)
                answers = await self._ask_parts(operation, database_id, parts)
                return log_calls.merge(operation, parts, log.raised(answers))
            script = log_scripts.SCRIPTS[operation]
            keys, call = log.script_call(self.namespace, operation, database_id, at, arguments)
            ask = ask or (self._owned.ask if self._owned else self._ask_any)
            try:
                return await ask("EVALSHA", script.sha, keys, *call)
            except NoScriptError:
                return await ask("EVAL", script.text, keys, *call)

    async def _ask_any(self, *command: bytes | str | int) -> Any:
        """Ask the one server that has all partitions."""

        async def ask(client: Redis) -> Any:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

        return await self.servers.ask(0, ask)

    async def _ask_parts(
        self, operation: str, database_id: str, parts: Sequence[log_calls.Part]
    ) -> list[Any]:
        """Make one call for each partition, all at once; a refusal is an answer."""
        commands = [
            (part.partition, log.part_commands(self.namespace, operation, database_id, part))
            for part in parts
        ]
        answers = await self._asked([(of, known) for of, (known, _) in commands])
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        again = await self._asked([(commands[i][0], commands[i][1][1]) for i in unknown])
        for i, answer in zip(unknown, again, strict=True):
            answers[i] = answer
        return answers

    async def _asked(self, commands: Sequence[tuple[int, Command]]) -> list[Any]:
        with unavailable_on_error():
            if self._owned:
                return await self._asked_owned(self._owned, commands)
            return await self.servers.ask_each(
                [(log_keys.slot(self.namespace, of), command) for of, command in commands]
            )

    async def _asked_owned(
        self, owned: OwnedConnection, commands: Sequence[tuple[int, Command]]
    ) -> list[Any]:
        asked = [command for _, command in commands]
        if not asked or not self._replicas:
            return await owned.ask_all(*asked) if asked else []
        return await self._all_and_wait([of for of, _ in commands], asked)


async def _unlink(keys: Sequence[str], client: Redis) -> None:
    await client.unlink(*keys)


def _options(client_name: str) -> dict[str, Any]:
    # redis-py's default retries a call that timed out, and so writes it several times.
    return {"retry": Retry(NoBackoff(), 0), **redis_options(client_name)}


async def _answered(reply: Awaitable[T]) -> T:
    with unavailable_on_error():
        return await reply
