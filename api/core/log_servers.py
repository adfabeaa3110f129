"""The servers that hold the log: one Redis, or the masters of a cluster, each with some partitions.

A call goes to the master that has its slot. What a server says instead of running a call (MOVED,
ASK, TRYAGAIN, CLUSTERDOWN) is no outcome: nothing was done. MOVED is followed; ASK is not, since
the partition is then on two servers, and a script would see half of it: it has to wait.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar, cast

from redis import Redis
from redis.client import CaseInsensitiveDict
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NotConnectedError

from api.core.slots import SlotMap

T = TypeVar("T")
Command = Sequence[bytes | str | int]

#: How often a call is sent to yet another server: a slot that moves does so once.
MOST_HOPS: Final = 3
#: Answers of servers that did nothing.
NOT_DONE: Final = (MovedError, AskError, TryAgainError, ClusterDownError)


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


class ClusterServers(LogServers):
    """The masters of a cluster. `connect` makes the client of a server by its URL."""

    is_cluster = True

    def __init__(self, url: str, connect: Callable[[str], Redis]) -> None:
        self._slots = SlotMap(url)
        self._connect = connect
        self._clients: dict[str, Redis] = {}

    def at(self, slot: int) -> Redis:
        """Return the client of the master that has a slot. Raises RedisError where none has."""
        if self._slots.is_stale:
            self._learn()
        master = self._slots.master_of(slot)
        if master is None:
            self.forget()
            raise NotConnectedError("no server of the cluster has this slot")
        return self._client(master)

    def masters(self) -> list[Redis]:
        """Return the clients of all masters. Raises RedisError if no server answers."""
        if self._slots.is_stale:
            self._learn()
        return [self._client(url) for url in self._slots.masters()]

    def ask(self, slot: int, question: Callable[[Redis], T]) -> T:
        """Return what the master that has a slot answers. Raises redis-py's RedisError."""
        for _ in range(MOST_HOPS - 1):
            try:
                return question(self.at(slot))
            except MovedError:
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
            places = [p for p, answer in enumerate(answers) if isinstance(answer, MovedError)]
            if not places:
                break
            self.forget()
        return answers

    def forget(self) -> None:
        """Ask who has which slots before the next call."""
        self._slots.is_stale = True

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
        failure: Exception = NotConnectedError("no server of the cluster answers")
        for url in self._slots.to_ask():
            try:
                reply = cast("Any", self._client(url)).execute_command("CLUSTER", "SLOTS")
            except RedisError as error:
                failure = error
                continue
            if reply:
                self._slots.learn(url, reply)
                return
        raise failure
