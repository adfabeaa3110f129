"""Calls of the log, synchronously: its script, and single commands on keys of its partitions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import NoScriptError

from api.core import log_calls, log_keys, log_scripts
from api.core.ids import ALL_PARTITIONS
from api.core.log_calls import Part
from api.core.log_keys import FORGET_CHUNK
from api.core.log_servers import LogServers
from api.core.master_map import Command

T = TypeVar("T")


class LogClient:
    """What speaks to the servers that hold the log; `api.core.log.Log` has its operations."""

    def __init__(self, servers: Redis | LogServers, namespace: str) -> None:
        #: What it speaks to Redis with.
        self.servers = servers if isinstance(servers, LogServers) else LogServers(servers)
        self.namespace = namespace
        #: The database that the log must belong to, or "" before it is known. The script compares
        #: it in each call; without it nothing is accepted.
        self.database_id = ""

    @property
    def redis(self) -> Redis:
        """The client of its Redis; of a cluster, that of one master."""
        return self.servers.at(0)

    def key(self, of: int, name: str) -> str:
        """Return a key of a partition, named by its number or by any id in it."""
        return log_keys.key(self.namespace, of, name)

    def ask(self, of: int, question: Callable[[Redis], T]) -> T:
        """Return what the server of a partition answers, named as in `key`."""
        return self.servers.ask(log_keys.slot(self.namespace, of), question)

    def run(
        self, operation: str, *arguments: bytes | str | int, at: Iterable[int] = ALL_PARTITIONS
    ) -> Any:
        """Run one of the script's operations, which touches keys of the partitions `at` only."""
        return self._call(operation, self.database_id, at, *arguments)

    def _call(
        self, operation: str, database_id: str, at: Iterable[int], *arguments: bytes | str | int
    ) -> Any:
        with log_calls.refusing_another_database():
            if self.servers.is_cluster:
                parts = log_calls.split(operation, at, arguments)
                answers = self._asked_parts(operation, parts, database_id)
                return log_calls.merge(operation, parts, log_calls.raised(answers))
            script = log_scripts.SCRIPTS[operation]
            keys, call = log_calls.script_call(
                self.namespace, operation, database_id, at, arguments
            )

            def run(redis: Redis) -> Any:
                try:
                    return redis.evalsha(script.sha, keys, *call)
                except NoScriptError:
                    return redis.eval(script.text, keys, *call)

            return self.servers.ask(0, run)

    def _asked_parts(
        self, operation: str, parts: Sequence[Part], database_id: str | None = None
    ) -> list[Any]:
        """Make one call for each partition, all at once; what a server refuses is an answer."""
        whose = self.database_id if database_id is None else database_id
        commands = [
            (part.partition, log_calls.part_commands(self.namespace, operation, whose, part))
            for part in parts
        ]
        answers = self._asked((of, known) for of, (known, _) in commands)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        again = self._asked((commands[i][0], commands[i][1][1]) for i in unknown)
        for i, answer in zip(unknown, again, strict=True):
            answers[i] = answer
        return answers

    def _each(self, commands: Iterable[tuple[int, Command]]) -> list[Any]:
        """Return the answers of partitions' servers to commands. Raises RedisError."""
        return log_calls.raised(self._asked(commands))

    def _asked(self, commands: Iterable[tuple[int, Command]]) -> list[Any]:
        """Likewise; what a server refuses is an answer."""
        return self.servers.ask_each(
            [(log_keys.slot(self.namespace, of), command) for of, command in commands]
        )

    def scan(self, pattern: str) -> Iterator[tuple[Redis, bytes]]:
        """Yield the log's keys of some names within their partitions, each with its server."""
        for redis in self.servers.masters():
            for name in redis.scan_iter(f"{{{self.namespace}:*}}:{pattern}", FORGET_CHUNK):
                yield redis, name

    def forget(self, pattern: str) -> None:
        """Remove the log's keys of some names within their partitions."""
        for redis, names in groupby(self.scan(pattern), key=itemgetter(0)):
            while chunk := list(islice(names, FORGET_CHUNK)):
                with redis.pipeline(transaction=False) as pipeline:
                    for _, name in chunk:
                        pipeline.unlink(name)
                    pipeline.execute()
