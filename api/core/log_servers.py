"""The servers that hold the log: one Redis, that which sentinels name, or the masters of a cluster.

A call goes to the master that has its slot. What a server says instead of running a call (MOVED,
ASK, TRYAGAIN, CLUSTERDOWN, READONLY) is no outcome: nothing was done. MOVED and READONLY are
followed; ASK is not, since the partition is then on two servers, and a script would see half of it:
it has to wait.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar, cast

from redis import Redis
from redis.client import CaseInsensitiveDict
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NotConnectedError

from api.core import master_map, redis_urls
from api.core.errors import VerbatimError
from api.core.master_map import Command

T = TypeVar("T")

#: How often a call is sent to yet another server: a slot that moves does so once.
MOST_HOPS: Final = 3
#: Answers of servers of which another one is the master now.
ELSEWHERE: Final = (MovedError, ReadOnlyError)
#: Answers of servers that did nothing.
NOT_DONE: Final = (*ELSEWHERE, AskError, TryAgainError, ClusterDownError)


class NoMasterError(VerbatimError, NotConnectedError):
    """No server says who the master is. The text says what was asked."""


def _pipelined(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    if not commands:
        return []
    with redis.pipeline(transaction=False) as pipeline:
        # As the server answers: to make dictionaries of entries takes as long as to read them.
        pipeline.response_callbacks = CaseInsensitiveDict({})
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        return pipeline.execute(raise_on_error=False)


class LogServers:
    """One Redis, which has every slot."""

    is_cluster = False

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def at(self, _slot: int) -> Redis:
        """Return the client of the server that has a slot."""
        return self._redis

    def masters(self) -> list[Redis]:
        """Return the clients of all servers that have slots."""
        return [self._redis]

    def ask(self, slot: int, question: Callable[[Redis], T]) -> T:
        """Return what the server that has a slot answers. Raises redis-py's RedisError."""
        return question(self.at(slot))

    def ask_each(self, commands: Sequence[tuple[int, Command]]) -> list[Any]:
        """Return the answers to commands, each for the server of a slot, all sent at once.

        What a server refuses is an answer, an exception. Raises RedisError if one does not answer.
        """
        return _pipelined(self._redis, [command for _, command in commands])

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FollowedServers(LogServers):
    """Masters that may change: of a cluster, or the one that sentinels name.

    `connect` makes the client of a server by its URL.
    """

    def __init__(self, url: str, connect: Callable[[str], Redis]) -> None:
        self.is_cluster = redis_urls.is_cluster(url)
        self._map = master_map.of_url(url)
        self._connect = connect
        self._clients: dict[str, Redis] = {}

    def at(self, slot: int) -> Redis:
        """Return the client of the master that has a slot. Raises RedisError where none has."""
        if self._map.is_stale:
            self._learn()
        master = self._map.master_of(slot)
        if master is None:
            self.forget()
            raise NoMasterError("no server of the cluster has this slot")
        return self._client(master)

    def masters(self) -> list[Redis]:
        """Return the clients of all masters. Raises RedisError if no server answers."""
        if self._map.is_stale:
            self._learn()
        return [self._client(url) for url in self._map.masters()]

    def ask(self, slot: int, question: Callable[[Redis], T]) -> T:
        """Return what the master that has a slot answers. Raises redis-py's RedisError."""
        for _ in range(MOST_HOPS - 1):
            try:
                return question(self.at(slot))
            except ELSEWHERE:
                self.forget()
            except RedisError as error:
                if not isinstance(error, ResponseError):
                    self.forget()
                raise
        return question(self.at(slot))

    def ask_each(self, commands: Sequence[tuple[int, Command]]) -> list[Any]:
        """Return the answers to commands, each for the master of a slot."""
        answers: list[Any] = [None] * len(commands)
        places: Sequence[int] = range(len(commands))
        for _ in range(MOST_HOPS):
            by_server: dict[int, tuple[Redis, list[int]]] = {}
            for place in places:
                redis = self.at(commands[place][0])
                by_server.setdefault(id(redis), (redis, []))[1].append(place)
            for redis, asked in by_server.values():
                found = self._pipelined(redis, [commands[place][1] for place in asked])
                for place, answer in zip(asked, found, strict=True):
                    answers[place] = answer
            places = [p for p, answer in enumerate(answers) if isinstance(answer, ELSEWHERE)]
            if not places:
                break
            self.forget()
        return answers

    def forget(self) -> None:
        """Ask who is the master of what before the next call."""
        self._map.doubt()

    def _pipelined(self, redis: Redis, commands: Sequence[Command]) -> list[Any]:
        try:
            return _pipelined(redis, commands)
        except RedisError:
            self.forget()
            raise

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def _client(self, url: str) -> Redis:
        if url not in self._clients:
            self._clients[url] = self._connect(url)
        return self._clients[url]

    def _learn(self) -> None:
        failure: Exception | None = None
        for url in self._map.to_ask():
            try:
                reply = cast("Any", self._client(url)).execute_command(*self._map.question)
            except RedisError as error:
                failure = error
                continue
            if self._map.learn(url, reply):
                self._drop_others()
                return
        if not self._map.does_without():
            raise NoMasterError(self._map.unknown) from failure

    def _drop_others(self) -> None:
        """Close the connections to servers that are no masters, and are not asked for them."""
        known = {*self._map.masters(), *self._map.to_ask()}
        for url in [url for url in self._clients if url not in known]:
            self._clients.pop(url).close()
