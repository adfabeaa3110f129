"""The log on Redis, seen from Python; `lua/head.lua` documents every key.

`Log` is the synchronous client, of workers, the command line and what runs in a thread, inside a
transaction of PostgreSQL. Coroutines use `api.writes.async_log`, with the shapes of this module.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final, Self, TypeVar, cast

from redis import Redis
from redis.exceptions import NoScriptError, ResponseError

from api.core import log_calls, log_keys, log_scripts, old_names
from api.core.entries import (
    AcceptReply,
    AcceptRequest,
    AcceptResult,
    Entry,
    end_of_share,
    read_entry,
    read_result,
)
from api.core.errors import TooFewReplicas, WrongDatabaseError
from api.core.ids import PARTITIONS, partition_of
from api.core.log_servers import NOT_DONE, LogServers
from api.core.master_map import Command
from api.core.settings import Settings

T = TypeVar("T")


#: Every partition: what an operation is for unless it says otherwise.
ALL: Final = tuple(range(PARTITIONS))
#: How long a turn's lease lasts without a renewal.
LEASE_MS: Final = 10_000
#: How long replicas may take to say that they have a call. The call's whole answer may take
#: ANSWER_SECONDS; one that is healthy says so within its fsync and the way there and back.
REPLICAS_MS: Final = 1_000
#: Keys that one command removes.
FORGET_CHUNK: Final = 1000
#: How long the bell lasts, here as in the script.
BELL_MS: Final = 3_000
#: How often the books are audited while there is work.
AUDIT_SECONDS: Final = 30
#: How often assets that no message names are looked for.
ORPHANS_SECONDS: Final = 3600
#: How often old conversations are looked for, here as in the script.
RETENTION_SECONDS: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an accept call may fill, under the names of the settings that say so."""

    log_max_entries: int
    log_max_bytes: int
    log_max_age_seconds: int
    idempotency_seconds: int
    # Of one user; 0 for none.
    user_writes_per_minute: int = 0
    user_bytes_per_minute: int = 0
    user_backlog_entries: int = 0
    user_backlog_bytes: int = 0
    user_conversations_per_day: int = 0
    user_keys_per_hour: int = 0
    # Of the recent turns of one conversation.
    assistant_memory_messages: int = 20
    assistant_memory_bytes: int = 16 * 1024

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from the settings."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})

    def joined(self) -> str:
        """Return them as the script takes them: one argument costs less than thirteen."""
        return (
            f"[{self.log_max_entries},{self.log_max_bytes},{self.log_max_age_seconds},"
            f"{self.idempotency_seconds},{self.user_writes_per_minute},"
            f"{self.user_bytes_per_minute},{self.user_backlog_entries},{self.user_backlog_bytes},"
            f"{self.user_conversations_per_day},{self.user_keys_per_hour},{LEASE_MS},"
            f"{self.assistant_memory_messages},{self.assistant_memory_bytes}]"
        )


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition of the log. `tail` and `accepted` are None while the log is closed."""

    partition: int
    tail: int | None
    accepted: int | None
    entries: int
    bytes: int
    oldest_at_ms: int | None
    #: Entries that PostgreSQL has, and that are kept in case it goes back.
    kept: int


@dataclass(frozen=True, slots=True)
class LogStatus:
    """The whole log at one moment of Redis time."""

    now_ms: int
    partitions: list[PartitionStatus]

    @property
    def entries(self) -> int:
        """Entries not known to be in PostgreSQL."""
        return sum(partition.entries for partition in self.partitions)

    @property
    def kept(self) -> int:
        """Entries that PostgreSQL has, and that are kept in case it goes back."""
        return sum(partition.kept for partition in self.partitions)

    @property
    def oldest_age_ms(self) -> int:
        """Age of the oldest entry, 0 if there is none."""
        oldest = [p.oldest_at_ms for p in self.partitions if p.oldest_at_ms is not None]
        return max(self.now_ms - min(oldest), 0) if oldest else 0


@dataclass(frozen=True, slots=True)
class Marks:
    """What the log remembers of partitions, apart from their entries."""

    #: None: not bound to a database yet.
    database_id: str | None
    tails: dict[int, int | None]
    accepted: dict[int, int]
    #: The ids up to which PostgreSQL is known to have had everything.
    committed: dict[int, int]


@dataclass(frozen=True, slots=True)
class Head:
    """The oldest entry of a partition that has any which PostgreSQL is not known to have.

    Id 0 and no entries: it has none, and is to be asked whether what it keeps may go.
    """

    partition: int
    first_id: int
    entries: int


class Reading(dict[int, list[Entry]]):
    """Entries by partition, in the order of the log, and what they were read with."""

    #: The log's clock then.
    as_of_ms: int
    #: By partition, the id after which was read: up to it everything is known to be committed. -1
    #: where that is not all that was trimmed.
    after: dict[int, int]
    #: The last id of each answer that it came in.
    ends: set[int]


@contextmanager
def refusing_another_database() -> Iterator[None]:
    """Raise WrongDatabaseError where the script says that the log is another database's."""
    try:
        yield
    except ResponseError as error:
        if str(error).startswith("WRONGDATABASE"):
            raise WrongDatabaseError(
                "the log on this Redis belongs to another database; "
                "set REDIS_URL to the right server, or put the right database back; a new log "
                "begins under another LOG_NAMESPACE"
            ) from error
        raise


def accept_arguments(
    limits: Limits, deadline_ms: int, requests: Sequence[AcceptRequest]
) -> tuple[Iterable[int], list[bytes | str | int]]:
    """Return an accept call's partitions and arguments. It is void after its deadline (Redis time).

    A call without requests looks whether every partition is open.
    """
    call: list[bytes | str | int] = [deadline_ms, limits.joined()]
    for request in requests:
        call += request.arguments()
    partitions = {request.partition for request in requests}
    # What an external id leads to is known in its user's home partition.
    partitions |= {partition_of(one.user_id) for one in requests if one.op == "delete"}
    return partitions or ALL, call


def accept_parts(
    limits: Limits, deadline_ms: int, requests: Sequence[AcceptRequest], at: Iterable[int] = ALL
) -> list[log_calls.Part]:
    """Return an accept call divided by partitions; without requests it is for those `at`."""
    places: dict[int, list[int]] = {} if requests else {one: [] for one in at}
    for place, request in enumerate(requests):
        places.setdefault(request.partition, []).append(place)
    return [
        log_calls.Part(
            partition,
            accept_arguments(limits, deadline_ms, [requests[place] for place in taken])[1],
            taken,
        )
        for partition, taken in places.items()
    ]


def read_replies(parts: Sequence[log_calls.Part], answers: Sequence[Any]) -> AcceptReply:
    """Read the replies to an accept call that was divided, as one.

    What a server did not do, because the partition is not there, or not alone, is `elsewhere`.
    """
    results = [AcceptResult("elsewhere")] * sum(len(part.places) for part in parts)
    done = [
        (part, read_reply(answer))
        for part, answer in zip(parts, answers, strict=True)
        if not isinstance(answer, NOT_DONE)
    ]
    for part, reply in done:
        for place, result in zip(part.places, reply.results, strict=True):
            results[place] = result
    return AcceptReply(
        max((reply.now_ms for _, reply in done), default=0),
        any(reply.ring for _, reply in done),
        bool(done) and all(reply.is_open for _, reply in done),
        results,
    )


def script_call(
    namespace: str,
    operation: str,
    database_id: str,
    partitions: Iterable[int],
    arguments: Iterable[bytes | str | int],
) -> tuple[int, list[Any]]:
    """Return what EVAL takes after the script: the number of keys, then KEYS and ARGV."""
    keys, numbers = log_keys.call(namespace, partitions)
    return len(keys), [*keys, operation, numbers, database_id, *arguments]


def read_reply(reply: Sequence[Any]) -> AcceptReply:
    """Read the script's reply to one accept call."""
    now_ms, ring, is_open, *entries = reply
    return AcceptReply(
        int(now_ms), bool(ring), bool(is_open), [read_result(entry) for entry in entries]
    )


class Log:
    """The log, synchronously: what workers, the command line and the tests do with it."""

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

    def accept(
        self, limits: Limits, deadline_ms: int, requests: Iterable[AcceptRequest]
    ) -> AcceptReply:
        """Accept entries in one call (the API does the same through its group commit)."""
        if self.servers.is_cluster:
            parts = accept_parts(limits, deadline_ms, list(requests))
            with refusing_another_database():
                return read_replies(parts, raised(self._asked_parts("accept", parts)))
        partitions, arguments = accept_arguments(limits, deadline_ms, list(requests))
        return read_reply(self.run("accept", *arguments, at=partitions))

    def ask(self, of: int, question: Callable[[Redis], T]) -> T:
        """Return what the server of a partition answers, named as in `key`."""
        return self.servers.ask(log_keys.slot(self.namespace, of), question)

    def heads(self, keep_ms: int | None = None) -> list[Head]:
        """Return the oldest entry of each partition that has any PostgreSQL is not known to have.

        With `keep_ms` also the partitions that have kept entries for longer than that.
        """
        found = self.run("heads", "" if keep_ms is None else keep_ms)
        return [Head(int(p), int(first), int(n)) for p, first, n in found]

    def read(self, partitions: Iterable[int], max_entries: int, max_bytes: int) -> Reading:
        """Return each partition's oldest entries that PostgreSQL is not known to have.

        At least one of each, up to the most of each; one more where it goes with the last.
        """
        as_of_ms, *reply = self.run("read", max_entries, max_bytes, at=partitions)
        reading = Reading((int(p), [read_entry(*one) for one in found]) for p, _, found, _ in reply)
        reading.as_of_ms = int(as_of_ms)
        reading.after = {int(partition): int(after) for partition, after, *_ in reply}
        longer = {int(p): up_to for p, _, _, up_to in reply if up_to}
        # Under the partitions' locks: nobody else removes entries meanwhile.
        answers = self._each(
            (one, self._read_on(one, reading[one], up_to, max_entries))
            for one, up_to in longer.items()
        )
        reading.ends = {entries[-1].id for entries in reading.values() if entries}
        for partition, found in zip(longer, answers, strict=True):
            reading[partition] += [read_entry(*one) for one in found]
        reading.ends |= {entries[-1].id for entries in reading.values() if entries}
        for entries in reading.values():
            del entries[end_of_share(entries, max_entries) :]
        return reading

    def _read_on(
        self, partition: int, entries: Sequence[Entry], up_to: bytes, max_entries: int
    ) -> Command:
        """Return what reads on after these entries."""
        first, count = f"{entries[-1].id + 1}-0", max_entries + 1 - len(entries)
        return "XRANGE", self.key(partition, "log"), first, up_to, "COUNT", count

    def wait_for_replicas(self, reading: Reading, replicas: int) -> None:
        """Wait until so many replicas have what was read.

        Raises TooFewReplicas if fewer have it, or if it is gone: a master that was not followed to
        its end had it, and the log goes on without it. PostgreSQL must not have it then, or a
        repeated request, of which the log knows nothing, would be a second one.
        """
        by_server: dict[int, set[int]] = {}
        for last_id in reading.ends:
            redis = self.servers.at(log_keys.slot(self.namespace, last_id))
            by_server.setdefault(id(redis), set()).add(last_id)
        for last_ids in by_server.values():
            count = self.ask(min(last_ids), partial(self._replicated, last_ids, replicas))
            if count < replicas:
                raise TooFewReplicas(f"{count} of {replicas} replicas have what was read")

    def _replicated(self, last_ids: Collection[int], replicas: int, redis: Redis) -> int:
        """Return how many replicas of a server have entries, and all before them."""
        with redis.pipeline(transaction=False) as pipeline:
            for last_id in last_ids:
                pipeline.xrange(self.key(last_id, "log"), last_id, last_id)
            # WAIT waits for what its own connection wrote: what others wrote is before that.
            pipeline.set(self.key(min(last_ids), "replicated"), 1)
            pipeline.wait(replicas, REPLICAS_MS)
            *found, _, count = pipeline.execute()
        return int(count) if all(found) else 0

    def trim(
        self,
        committed: Mapping[int, int],
        conversations: Iterable[int],
        counts: Mapping[str, int],
        users: Mapping[tuple[int, int], tuple[int, int]] | None = None,
        *,
        reading: Reading | None = None,
        keep_ms: int = 0,
    ) -> None:
        """Note what was committed (partition → last id, 0: nothing), give TTLs, add up the counts.

        Committed entries are kept for `keep_ms`, and until PostgreSQL was found to have them at
        that age: it has what `reading` began after. `users` says how many entries, and bytes of
        them, were committed of each partition and user.
        """
        touched = list(conversations)
        # On a cluster each partition by itself; partition 0 has the counts.
        groups = [(one,) for one in sorted({*committed, 0})] if self.servers.is_cluster else [ALL]
        for at in groups:
            self._trim(
                at,
                {partition: last for partition, last in committed.items() if partition in at},
                [one for one in touched if partition_of(one) in at],
                {whose: what for whose, what in (users or {}).items() if whose[0] in at},
                counts=counts if 0 in at else {},
                reading=reading,
                keep_ms=keep_ms,
            )

    def _trim(
        self,
        at: Iterable[int],
        committed: Mapping[int, int],
        conversations: Sequence[int],
        users: Mapping[tuple[int, int], tuple[int, int]],
        *,
        counts: Mapping[str, int],
        reading: Reading | None,
        keep_ms: int,
    ) -> None:
        pairs = [
            number
            for partition, last_id in committed.items()
            for number in (partition, last_id, *_read_until(reading, partition, last_id))
        ]
        held = [number for whose, what in users.items() for number in (*whose, *what)]
        increments = [item for pair in counts.items() for item in pair]
        as_of_ms = reading.as_of_ms if reading else 0
        self.run(
            "trim", keep_ms, as_of_ms, len(committed), *pairs, len(conversations), *conversations,
            len(held) // 4, *held, *increments, at=at,
        )  # fmt: skip

    def finish(self) -> bool:
        """Put the bell away if PostgreSQL is known to have everything; tell whether it is."""
        return bool(self.run("finish"))

    def started(self) -> None:
        """Count a drain that started; the watch takes this as proof that doorbells are heard."""
        name = self.key(0, "drain:started")
        self.ask(0, lambda redis: redis.incr(name))

    def present(self, worker: str) -> None:
        """Say that a worker is there: without it, it counts as gone after 15 s."""
        self.run("present", worker, at=(0,))

    def leave_undone(self) -> None:
        """Say that a drain ended though the database has work left; a watchdog rings again."""
        self.ask(0, lambda redis: redis.set(self.key(0, "undone"), 1))

    def take_undone(self) -> bool:
        """Tell whether a drain said so; who is told so rings."""
        return bool(self.ask(0, lambda redis: redis.getdel(self.key(0, "undone"))))

    def starts(self) -> int:
        """Return how many drains ever started."""
        name = self.key(0, "drain:started")
        return int(cast("bytes | None", self.ask(0, lambda redis: redis.get(name))) or 0)

    def silence(self) -> None:
        """Put the bell away though entries are left, so that the next accept rings."""
        self._each((one, ("DEL", self.key(one, "bell"))) for one in ALL)

    def hold_bell(self) -> None:
        """Keep accepts from ringing for a while: a drain now would fail as the last one did."""
        self._each((one, ("SET", self.key(one, "bell"), 1, "PX", BELL_MS)) for one in ALL)

    def wants_helper(self) -> bool:
        """Tell whether the caller is the one to ring for a second drain (once in 5 s)."""
        return bool(self.run("helper", at=(0,)))

    def revoke(self, user_id: int, sessions: Sequence[str], seconds: int) -> None:
        """Have no access token of these sessions taken any more; the youngest lives so long."""
        self.run("revoke", seconds, user_id, *sessions)

    def refuse_lost_user(self, user_id: int, seconds: int) -> None:
        """Block the writes of a user who does not exist, unless they are blocked already."""
        self.run("gone", user_id, seconds, "unless blocked")

    def forget_turns(self, conversation_id: int) -> None:
        """Have the next chat turn of a conversation load its recent turns from PostgreSQL."""
        name = self.key(conversation_id, f"turns:{conversation_id}")
        self.ask(conversation_id, lambda redis: redis.delete(name))

    def wants_retention(self) -> bool:
        """Tell whether the caller is the one to look for old conversations (once an hour)."""
        return bool(self.run("retention", at=(0,)))

    def wants_orphans(self) -> bool:
        """Tell whether the caller is the one to look for assets without messages (likewise)."""
        name = self.key(0, "orphans")
        return bool(self.ask(0, lambda redis: redis.set(name, 1, nx=True, ex=ORPHANS_SECONDS)))

    def wants_audit(self) -> bool:
        """Tell whether the caller is the one to audit the books (twice a minute)."""
        name = self.key(0, "audited")
        return bool(self.ask(0, lambda redis: redis.set(name, 1, nx=True, ex=AUDIT_SECONDS)))

    def note_audit(self, unbalanced: Sequence[int]) -> None:
        """Say which partitions did not balance."""
        name = self.key(0, "unbalanced")
        self.ask(0, lambda redis: redis.set(name, len(unbalanced)))

    def status(self) -> LogStatus:
        """Return every partition's tail, counts, bytes and oldest entry at one moment."""
        return read_status(self.run("status"))

    def marks(self, partitions: Sequence[int]) -> Marks:
        """Return whose database this log is, and what it remembers of partitions."""
        kinds = ("database", "tail", "accepted", "committed")
        # Of keys on several servers none answers.
        groups = [[one] for one in partitions] if self.servers.is_cluster else [partitions]
        answers = self._each(
            (group[0], ("MGET", *(self.key(one, kind) for one in group for kind in kinds)))
            for group in groups
        )
        found: list[bytes | None] = [value for answer in answers for value in answer]
        databases, tails, accepted, committed = (
            found[start :: len(kinds)] for start in range(len(kinds))
        )
        return Marks(
            None if None in databases else min(name.decode() for name in databases if name),
            {p: int(tail) if tail else None for p, tail in zip(partitions, tails, strict=True)},
            {p: int(count or 0) for p, count in zip(partitions, accepted, strict=True)},
            {
                p: int(said.partition(b" ")[0]) if said else 0
                for p, said in zip(partitions, committed, strict=True)
            },
        )

    def balance(self, partition: int, last_id: int) -> tuple[int | None, int]:
        """Return a partition's entries ever accepted, and those in the log above an id."""
        accepted, above = self.run("balance", last_id, at=(partition,))
        return int(accepted) if accepted else None, above

    def first_above(self, partition: int, entry_id: int) -> int | None:
        """Return the id of a partition's first entry above an id, be it committed or not."""
        stream = self.key(partition, "log")
        found: Any = self.ask(partition, lambda redis: redis.xrange(stream, entry_id + 1, count=1))
        return int(found[0][0].partition(b"-")[0]) if found else None

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

    def counts(self) -> dict[str, int]:
        """Return what drains have counted so far."""
        name = self.key(0, "drain:counts")
        counts = self.ask(0, lambda redis: redis.hgetall(name))
        return read_counts(cast("dict[bytes, bytes]", counts))

    def adopt(self, database_id: str, partitions: Iterable[tuple[int, int, int]]) -> bool:
        """Bind the log to its database and open it; return whether it began anew or went back.

        A partition is (number, last_id, applied + dead + discarded) as PostgreSQL has them.
        Raises WrongDatabaseError if the log belongs to another database.
        """
        known = list(partitions)
        numbers = [number for _, *numbers in known for number in numbers]
        found = self._call("adopt", database_id, [partition for partition, *_ in known], *numbers)
        self.database_id = database_id
        return bool(found)

    def went_back_at_ms(self) -> int | None:
        """Return when the log was found to have lost entries or begun anew, if it ever was."""
        found = self._each((one, ("GET", self.key(one, "went_back"))) for one in ALL)
        return min((int(at_ms) for at_ms in found if at_ms), default=None)

    def acknowledge_going_back(self) -> None:
        """Take it as known that the log lost entries or began anew."""
        self._each((one, ("DEL", self.key(one, "went_back"))) for one in ALL)

    def has_old_names(self) -> bool:
        """Return whether there is, or was, a log whose keys did not carry their partition yet.

        None was ever opened on a cluster.
        """
        return not self.servers.is_cluster and old_names.known(self.servers.at(0), self.namespace)

    def leave_old_names(self, database_id: str) -> bool:
        """Take over from a log whose keys did not carry their partition yet, if there is one.

        Return whether that was done now. Raises OldLogError while that log has entries,
        WrongDatabaseError if it is another's.
        """
        if self.servers.is_cluster:
            return False
        with refusing_another_database():
            revoked = old_names.leave(self.servers.at(0), self.namespace, database_id)
        for user, session, seconds in revoked or ():
            self.revoke(user, [session], seconds)
        return revoked is not None

    def recount(self, partitions: Iterable[tuple[int, int, int]]) -> None:
        """Count as accepted what the books know of (see `adopt`): for regressed ids only."""
        known = list(partitions)
        numbers = [number for _, *numbers in known for number in numbers]
        self.run("recount", *numbers, at=[partition for partition, *_ in known])

    def take_again(
        self, partitions: Iterable[tuple[int, int, int]], *, lost_is_known: bool = False
    ) -> tuple[int, int]:
        """Have what a PostgreSQL that went back lacks drained again, as far as the log has it.

        A partition is as in `adopt`, and locked. Return how many entries these are, and how many
        more are in neither: with any of those nothing is done to their partition, unless that is
        known, and they are no longer counted as accepted.
        """
        known = list(partitions)
        numbers = [number for _, *numbers in known for number in numbers]
        at = [partition for partition, *_ in known]
        again, lost = self.run("take_again", int(lost_is_known), *numbers, at=at)
        return int(again), int(lost)

    def run(self, operation: str, *arguments: bytes | str | int, at: Iterable[int] = ALL) -> Any:
        """Run one of the script's operations, which touches keys of the partitions `at` only."""
        return self._call(operation, self.database_id, at, *arguments)

    def _call(
        self, operation: str, database_id: str, at: Iterable[int], *arguments: bytes | str | int
    ) -> Any:
        with refusing_another_database():
            if self.servers.is_cluster:
                parts = log_calls.split(operation, at, arguments)
                answers = self._asked_parts(operation, parts, database_id)
                return log_calls.merge(operation, parts, raised(answers))
            script = log_scripts.SCRIPTS[operation]
            keys, call = script_call(self.namespace, operation, database_id, at, arguments)

            def run(redis: Redis) -> Any:
                try:
                    return redis.evalsha(script.sha, keys, *call)
                except NoScriptError:
                    return redis.eval(script.text, keys, *call)

            return self.servers.ask(0, run)

    def _asked_parts(
        self, operation: str, parts: Sequence[log_calls.Part], database_id: str | None = None
    ) -> list[Any]:
        """Make one call for each partition, all at once; what a server refuses is an answer."""
        whose = self.database_id if database_id is None else database_id
        commands = [
            (part.partition, part_commands(self.namespace, operation, whose, part))
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
        return raised(self._asked(commands))

    def _asked(self, commands: Iterable[tuple[int, Command]]) -> list[Any]:
        """Likewise; what a server refuses is an answer."""
        return self.servers.ask_each(
            [(log_keys.slot(self.namespace, of), command) for of, command in commands]
        )


def part_commands(
    namespace: str, operation: str, database_id: str, part: log_calls.Part
) -> tuple[Command, Command]:
    """Return what asks one partition: for a server that knows the script, and for any."""
    script = log_scripts.SCRIPTS[operation]
    keys, call = script_call(namespace, operation, database_id, (part.partition,), part.arguments)
    return ("EVALSHA", script.sha, keys, *call), ("EVAL", script.text, keys, *call)


def raised(answers: list[Any]) -> list[Any]:
    """Return answers of servers. Raises the first error among them."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _read_until(reading: Reading | None, partition: int, last_id: int) -> tuple[int, int]:
    """Return after which id was read, and how many entries up to another; -1 where unknown."""
    if reading is None:
        return -1, -1
    return reading.after[partition], sum(one.id <= last_id for one in reading[partition])


def read_status(reply: Sequence[Any]) -> LogStatus:
    """Read the script's reply to `status`."""
    now_ms, *partitions = reply
    return LogStatus(int(now_ms), [_partition_status(fields) for fields in partitions])


def read_counts(counts: Mapping[bytes, bytes]) -> dict[str, int]:
    """Read the hash of what drains have counted."""
    return {name.decode(): int(value) for name, value in counts.items()}


def _partition_status(fields: Sequence[Any]) -> PartitionStatus:
    partition, tail, accepted, entries, held, oldest, kept = fields
    return PartitionStatus(
        partition,
        int(tail) if tail else None,
        int(accepted) if accepted else None,
        entries,
        int(held),
        int(oldest) if oldest else None,
        int(kept),
    )
