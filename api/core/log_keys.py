"""Names of the log's keys on Redis: each carries its partition as a hash tag.

    {<namespace>:<partition>:<number>}:<name>

What stands in braces decides where a Redis Cluster keeps a key, so a partition lies whole on one
server. The number puts it into the middle of its sixteenth of the slots: however many masters share
the slots evenly, up to 16, they share the partitions evenly, too.
"""

from collections.abc import Iterable
from functools import cache
from itertools import count
from typing import Final

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from api.core.ids import PARTITIONS, partition_of

#: Keys that one command removes.
FORGET_CHUNK: Final = 1000


@cache
def prefixes(namespace: str) -> tuple[str, ...]:
    """Return what the keys of each partition begin with, `{…}` and a colon left out."""
    return tuple(_prefix(namespace, partition) for partition in range(PARTITIONS))


def key(namespace: str, of: int, name: str) -> str:
    """Return a key of a partition, named by its number or by any id in it."""
    return f"{prefixes(namespace)[partition_of(of)]}:{name}"


def slot(namespace: str, of: int) -> int:
    """Return the slot of a partition on a cluster, named as in `key`."""
    return _slots(namespace)[partition_of(of)]


@cache
def _slots(namespace: str) -> tuple[int, ...]:
    return tuple(key_slot(prefix.encode()) for prefix in prefixes(namespace))


def call(namespace: str, partitions: Iterable[int]) -> tuple[list[str], str]:
    """Return the script's KEYS for a call that is for these partitions, and its ARGV[2]."""
    known = prefixes(namespace)
    numbers = list(partitions)
    return [known[number] for number in numbers], " ".join(map(str, numbers))


def _prefix(namespace: str, partition: int) -> str:
    share = REDIS_CLUSTER_HASH_SLOTS // PARTITIONS
    middle = range(partition * share + share * 3 // 8, partition * share + share * 5 // 8)
    tags = (f"{namespace}:{partition}:{number}" for number in count())
    return next(f"{{{tag}}}" for tag in tags if key_slot(tag.encode()) in middle)
