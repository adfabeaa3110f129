"""The log as the drain has it: reading, trimming, and the bell."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from redis import Redis

from api.core import log_keys
from api.core.entries import Entry, end_of_share, read_entry
from api.core.errors import TooFewReplicas
from api.core.ids import ALL_PARTITIONS, partition_of
from api.core.log_client import LogClient
from api.core.master_map import Command
from api.core.redis_client import REPLICAS_MS

#: How long the bell lasts, here as in the script.
BELL_MS: Final = 3_000


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


class LogDrain(LogClient):
    """What drains do with the log."""

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
        groups = (
            [(one,) for one in sorted({*committed, 0})]
            if self.servers.is_cluster
            else [ALL_PARTITIONS]
        )
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

    def starts(self) -> int:
        """Return how many drains ever started."""
        name = self.key(0, "drain:started")
        return int(cast("bytes | None", self.ask(0, lambda redis: redis.get(name))) or 0)

    def leave_undone(self) -> None:
        """Say that a drain ended though the database has work left; a watchdog rings again."""
        self.ask(0, lambda redis: redis.set(self.key(0, "undone"), 1))

    def take_undone(self) -> bool:
        """Tell whether a drain said so; who is told so rings."""
        return bool(self.ask(0, lambda redis: redis.getdel(self.key(0, "undone"))))

    def silence(self) -> None:
        """Put the bell away though entries are left, so that the next accept rings."""
        self._each((one, ("DEL", self.key(one, "bell"))) for one in ALL_PARTITIONS)

    def hold_bell(self) -> None:
        """Keep accepts from ringing for a while: a drain now would fail as the last one did."""
        self._each(
            (one, ("SET", self.key(one, "bell"), 1, "PX", BELL_MS)) for one in ALL_PARTITIONS
        )

    def wants_helper(self) -> bool:
        """Tell whether the caller is the one to ring for a second drain (once in 5 s)."""
        return bool(self.run("helper", at=(0,)))


def _read_until(reading: Reading | None, partition: int, last_id: int) -> tuple[int, int]:
    """Return after which id was read, and how many entries up to another; -1 where unknown."""
    if reading is None:
        return -1, -1
    return reading.after[partition], sum(one.id <= last_id for one in reading[partition])
