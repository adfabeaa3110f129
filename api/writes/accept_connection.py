"""The connection over which one task has the log accept entries."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from api.core import log_calls, log_keys, redis_urls
from api.core.accept_calls import Limits, accept_arguments, accept_parts
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptReply, read_replies, read_reply
from api.core.errors import TooFewReplicas
from api.core.ids import ALL_PARTITIONS
from api.core.log_servers import NOT_DONE
from api.core.master_map import Command
from api.core.redis_client import REPLICAS_MS, unavailable_on_error
from api.core.redis_kind import refuse_replica
from api.core.settings import Settings
from api.writes.async_log_client import AsyncLogClient, answered, client_options
from api.writes.owned_connection import OwnedConnection


class AcceptConnection(AsyncLogClient):
    """One connection to the log, which one task owns."""

    def __init__(
        self, client: Redis, namespace: str, replicas: int, *, is_one_of_many: bool
    ) -> None:
        super().__init__(client, namespace)
        self._owned = OwnedConnection(client)
        self._replicas = replicas
        #: It leads to one master of a cluster, which takes one partition in each call.
        self._is_one_of_many = is_one_of_many
        #: How many replicas had the last accept call, where any are asked for.
        self.acknowledged = 0

    @classmethod
    async def opened(cls, settings: Settings, client_name: str, master: str | None = None) -> Self:
        """Open one connection; to one of several masters, by its URL."""
        client: Redis = Redis.from_url(
            master or settings.redis, single_connection_client=True, **client_options(client_name)
        )
        opened = cls(
            client,
            settings.log_namespace,
            settings.redis_replicas,
            is_one_of_many=redis_urls.is_cluster(settings.redis),
        )
        try:
            await answered(client.initialize())
            await opened.refuse_replica()
        except BaseException:
            await opened.close()
            raise
        return opened

    async def refuse_replica(self) -> None:
        """Raise Unavailable if it leads to a replica, which would take no write."""
        refuse_replica(await answered(self._owned.ask("HELLO")))

    async def accept(
        self,
        limits: Limits,
        deadline_ms: int,
        requests: Sequence[AcceptRequest],
        at: Iterable[int] = ALL_PARTITIONS,
    ) -> AcceptReply:
        """Accept requests in one call, which writes nothing after its deadline (Redis time).

        Without requests it looks whether the partitions `at` are open. Raises TooFewReplicas if
        fewer than REDIS_REPLICAS have it within REPLICAS_MS, ReadOnlyLog if nothing was done, and
        nothing can be.
        """
        if self._is_one_of_many:
            parts = accept_parts(limits, deadline_ms, requests, at)
            answers = await self._ask_parts("accept", self.database_id, parts)
            refused = [answer for answer in answers if not isinstance(answer, NOT_DONE)]
            with unavailable_on_error():
                log_calls.raised(refused)
            return read_replies(parts, answers)
        partitions, arguments = accept_arguments(limits, deadline_ms, requests)
        numbers = list(partitions)
        ask = partial(self._ask_and_wait, numbers[0]) if self._replicas else self._owned.ask
        reply = await self._call("accept", self.database_id, numbers, arguments, ask)
        return read_reply(reply)

    async def spread_bell(self) -> None:
        """Set the bell of every partition, where that of any is set. Raises Unavailable.

        Not on a cluster, where no call sees two of them: each rings for itself.
        """
        if not self._is_one_of_many:
            await self.run("spread_bell")

    async def _ask(self, *command: bytes | str | int) -> Any:
        return await self._owned.ask(*command)

    async def _ask_each(self, commands: Sequence[tuple[int, Command]]) -> list[Any]:
        if not commands:
            return []
        asked = [command for _, command in commands]
        with unavailable_on_error():
            if self._replicas:
                return await self._all_and_wait([of for of, _ in commands], asked)
            return await self._owned.ask_all(*asked)

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
        marks = [("SET", log_keys.key(self.namespace, one, "replicated"), 1) for one in partitions]
        wait = ("WAIT", self._replicas, REPLICAS_MS)
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
