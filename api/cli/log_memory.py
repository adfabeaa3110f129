"""Redis memory used by the log: the 16 streams, and separately the keys that expire."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from api.core import ids
from api.core.log import Log

#: Kinds of keys that get a TTL: the first word of their names.
EXPIRING: Final = ("conv", "turns", "idem")
#: Keys of each kind that are measured; the others are assumed to be alike.
SAMPLES: Final = 500
_SCAN_COUNT: Final = 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """All keys of one kind. Size and TTLs are those of a sample, scaled up."""

    name: str
    keys: int
    bytes: int
    #: Keys whose size was measured.
    sampled: int
    #: Part of the sampled keys that have a TTL now, 0 to 1.
    ttl_share: float


def streams_bytes(log: Log) -> int:
    """Return the memory of all 16 streams in bytes. Redis samples within a stream."""

    def bytes_of(partition: int) -> int:
        name = log.key(partition, "log")
        # None for a stream that does not exist yet.
        return log.ask(partition, lambda redis: redis.memory_usage(name)) or 0

    return sum(bytes_of(partition) for partition in range(ids.PARTITIONS))


def expiring(log: Log) -> list[Kind]:
    """Return the keys that expire, by kind; scans every key of every server of the log."""
    found = [_expiring(redis, log) for redis in log.servers.masters()]
    return [_total(kinds) for kinds in zip(*found, strict=True)]


def _total(kinds: tuple[Kind, ...]) -> Kind:
    sampled = sum(kind.sampled for kind in kinds)
    with_ttl = sum(kind.ttl_share * kind.sampled for kind in kinds)
    return Kind(
        kinds[0].name,
        sum(kind.keys for kind in kinds),
        sum(kind.bytes for kind in kinds),
        sampled,
        with_ttl / sampled if sampled else 0.0,
    )


def _expiring(redis: Redis, log: Log) -> list[Kind]:
    counted: Counter[str] = Counter()
    samples: defaultdict[str, list[bytes]] = defaultdict(list)
    for key in redis.scan_iter(match=f"{{{log.namespace}:*}}:*", count=_SCAN_COUNT):
        name = key.partition(b"}:")[2].partition(b":")[0].decode()
        counted[name] += 1
        if len(samples[name]) < SAMPLES:
            samples[name].append(key)
    return [_measured(redis, name, counted[name], samples[name]) for name in EXPIRING]


def _measured(redis: Redis, name: str, keys: int, sample: list[bytes]) -> Kind:
    with redis.pipeline(transaction=False) as pipeline:
        for key in sample:
            pipeline.memory_usage(key)
            pipeline.ttl(key)
        answers: list[Any] = pipeline.execute()
    sizes = [size for size in answers[::2] if size is not None]
    if not sizes:
        return Kind(name, keys, 0, 0, 0.0)
    share = sum(ttl >= 0 for ttl in answers[1::2]) / len(sample)
    return Kind(name, keys, round(sum(sizes) / len(sizes) * keys), len(sizes), share)
