"""Calls of the log by coroutines: its script, and single commands on keys of its partitions.

A reply never reaches a caller that it is not for. A connection serves one call at a time, and a
call that is cancelled or times out drops its connection, so that its late reply is never read.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from api.core import log_calls, log_keys, log_scripts
from api.core.errors import Unavailable
from api.core.ids import ALL_PARTITIONS
from api.core.log_calls import Part
from api.core.master_map import Command
from api.core.redis_client import redis_options, unavailable_on_error
from api.writes.async_servers import AsyncServers

T = TypeVar("T")


class AsyncLogClient:
    """What speaks to the servers that hold the log, for coroutines.

    Every method raises Unavailable where Redis does not answer.
    """

    def __init__(self, servers: Redis | AsyncServers, namespace: str) -> None:
        #: What it speaks to Redis with.
        self.servers = servers if isinstance(servers, AsyncServers) else AsyncServers(servers)
        self.namespace = namespace
        #: The database that the log must belong to, or "" before it is known.
        self.database_id = ""

    async def run(
        self, operation: str, *arguments: bytes | str | int, at: Iterable[int] = ALL_PARTITIONS
    ) -> Any:
        """Run one of the script's operations, which touches keys of the partitions `at` only.

        Raises Unavailable also where the log belongs to another database, or while this process
        does not know its own: nothing must be written to another's log, or be read from it.
        """
        if not self.database_id:
            raise Unavailable("the log is not open yet")
        return await self._call(operation, self.database_id, at, arguments)

    async def now_ms(self) -> float:
        """Return Redis' clock, in Unix milliseconds; of several the one that is most behind."""
        times = [await answered(client.time()) for client in await answered(self.servers.masters())]
        return min(seconds * 1000 + microseconds / 1000 for seconds, microseconds in times)

    async def memory_ratio(self) -> float:
        """Return used memory as a part of Redis' maxmemory, 0 without a limit; the most of several.

        Also 0 where a managed Redis refuses to say.
        """
        masters = await answered(self.servers.masters())
        return max([await self._memory_ratio_of(client) for client in masters])

    async def _memory_ratio_of(self, client: Redis) -> float:
        try:
            memory = cast("dict[str, Any]", await answered(client.info("memory")))
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
        return await answered(self.servers.ask(log_keys.slot(self.namespace, of), question))

    async def _call(
        self,
        operation: str,
        database_id: str,
        at: Iterable[int],
        arguments: Sequence[bytes | str | int],
        ask: Callable[..., Awaitable[Any]] | None = None,
    ) -> Any:
        """Run the script. Only a script that Redis does not know is sent again."""
        with unavailable_on_error(), log_calls.refusing_another_database():
            if self.servers.is_cluster:
                parts = log_calls.split(operation, at, arguments)
                answers = await self._ask_parts(operation, database_id, parts)
                return log_calls.merge(operation, parts, log_calls.raised(answers))
            script = log_scripts.SCRIPTS[operation]
            keys, call = log_calls.script_call(
                self.namespace, operation, database_id, at, arguments
            )
            ask = ask or self._ask
            try:
                return await ask("EVALSHA", script.sha, keys, *call)
            except NoScriptError:
                return await ask("EVAL", script.text, keys, *call)

    async def _ask(self, *command: bytes | str | int) -> Any:
        """Ask the one server that has all partitions."""

        async def ask(client: Redis) -> Any:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

        return await self.servers.ask(0, ask)

    async def _ask_parts(
        self, operation: str, database_id: str, parts: Sequence[Part]
    ) -> list[Any]:
        """Make one call for each partition, all at once; a refusal is an answer."""
        commands = [
            (part.partition, log_calls.part_commands(self.namespace, operation, database_id, part))
            for part in parts
        ]
        answers = await self._ask_each([(of, known) for of, (known, _) in commands])
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        again = await self._ask_each([(commands[i][0], commands[i][1][1]) for i in unknown])
        for i, answer in zip(unknown, again, strict=True):
            answers[i] = answer
        return answers

    async def _ask_each(self, commands: Sequence[tuple[int, Command]]) -> list[Any]:
        """Return what partitions' servers answer, all asked at once; a refusal is an answer."""
        with unavailable_on_error():
            return await self.servers.ask_each(
                [(log_keys.slot(self.namespace, of), command) for of, command in commands]
            )


def client_options(client_name: str) -> dict[str, Any]:
    """Return the options of every client of the log: nothing is sent twice."""
    # redis-py's default retries a call that timed out, and so writes it several times.
    return {"retry": Retry(NoBackoff(), 0), **redis_options(client_name)}


async def answered(reply: Awaitable[T]) -> T:
    """Return what Redis answers. Raises Unavailable where it does not."""
    with unavailable_on_error():
        return await reply
