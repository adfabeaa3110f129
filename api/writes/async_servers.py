"""The servers that hold the log, for coroutines; see `api.core.log_servers`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from api.core import master_map, redis_urls
from api.core.log_servers import ELSEWHERE, MOST_HOPS, NoMasterError
from api.core.master_map import Command

T = TypeVar("T")


class AsyncServers:
    """One Redis, which has every slot."""

    is_cluster = False

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def masters(self) -> list[Redis]:
        """Return the clients of all servers that have slots."""
        return [self._redis]

    async def ask(self, _slot: int, question: Callable[[Redis], Awaitable[T]]) -> T:
        """Return what the server that has a slot answers. Raises redis-py's RedisError."""
        return await question(self._redis)

    async def ask_each(self, commands: Sequence[tuple[int, Command]]) -> list[Any]:
        """Return the answers to commands, each for the server of a slot, all sent at once.

        What a server refuses is an answer, an exception. Raises RedisError if one does not answer.
        """
        return await _pipelined(self._redis, [command for _, command in commands])

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


class AsyncFollowedServers(AsyncServers):
    """Masters that may change: of a cluster, or the one that sentinels name.

    `connect` makes the client of a server by its URL.
    """

    def __init__(self, url: str, connect: Callable[[str], Redis]) -> None:
        self.is_cluster = redis_urls.is_cluster(url)
        self._map = master_map.of_url(url)
        self._connect = connect
        self._clients: dict[str, Redis] = {}

    async def masters(self) -> list[Redis]:
        """Return the clients of all masters. Raises RedisError if no server answers."""
        return [self._client(url) for url in await self.master_urls()]

    async def master_urls(self) -> list[str]:
        """Return the URLs of all masters. Raises RedisError if no server answers."""
        if self._map.is_stale:
            await self._learn()
        return self._map.masters()

    async def url_of(self, slot: int) -> str:
        """Return the URL of the master that has a slot. Raises RedisError where none has."""
        if self._map.is_stale:
            await self._learn()
        master = self._map.master_of(slot)
        if master is None:
            self.forget()
            raise NoMasterError("no server of the cluster has this slot")
        return master

    async def ask(self, slot: int, question: Callable[[Redis], Awaitable[T]]) -> T:
        """Return what the master that has a slot answers. Raises redis-py's RedisError."""
        for _ in range(MOST_HOPS - 1):
            try:
                return await question(self._client(await self.url_of(slot)))
            except ELSEWHERE:
                self.forget()
            except RedisError as error:
                if not isinstance(error, ResponseError):
                    self.forget()
                raise
        return await question(self._client(await self.url_of(slot)))

    async def ask_each(self, commands: Sequence[tuple[int, Command]]) -> list[Any]:
        """Return the answers to commands, each for the master of a slot."""
        answers: list[Any] = [None] * len(commands)
        places: Sequence[int] = range(len(commands))
        for _ in range(MOST_HOPS):
            by_server: dict[str, list[int]] = {}
            for place in places:
                by_server.setdefault(await self.url_of(commands[place][0]), []).append(place)
            found = await asyncio.gather(
                *(
                    self._pipelined(url, [commands[place][1] for place in asked])
                    for url, asked in by_server.items()
                )
            )
            for asked, of_server in zip(by_server.values(), found, strict=True):
                for place, answer in zip(asked, of_server, strict=True):
                    answers[place] = answer
            places = [p for p, answer in enumerate(answers) if isinstance(answer, ELSEWHERE)]
            if not places:
                break
            self.forget()
        return answers

    def forget(self) -> None:
        """Ask who is the master of what before the next call."""
        self._map.doubt()

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    def _client(self, url: str) -> Redis:
        if url not in self._clients:
            self._clients[url] = self._connect(url)
        return self._clients[url]

    async def _pipelined(self, url: str, commands: Sequence[Command]) -> list[Any]:
        try:
            return await _pipelined(self._client(url), commands)
        except RedisError:
            self.forget()
            raise

    async def _learn(self) -> None:
        failure: Exception | None = None
        for url in self._map.to_ask():
            try:
                reply = await self._client(url).execute_command(  # type: ignore[no-untyped-call]
                    *self._map.question
                )
            except RedisError as error:
                failure = error
                continue
            if self._map.learn(url, reply):
                await self._drop_others()
                return
        if not self._map.does_without():
            raise NoMasterError(self._map.unknown) from failure

    async def _drop_others(self) -> None:
        """Close the connections to servers that are no masters, and are not asked for them."""
        known = {*self._map.masters(), *self._map.to_ask()}
        for url in [url for url in self._clients if url not in known]:
            await self._clients.pop(url).aclose()


async def _pipelined(client: Redis, commands: Sequence[Command]) -> list[Any]:
    if not commands:
        return []
    async with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)
