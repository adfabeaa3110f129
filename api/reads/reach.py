"""Whether PostgreSQL has reached what a reader may expect."""

import time
from collections.abc import Sequence
from typing import Final

from sqlmodel import Session

from api.core import ids
from api.core.errors import BadRequest, Gone
from api.reads.partitions import PartitionRepository

#: A `read_after` this far ahead of every clock was never given out.
FUTURE_MS: Final = 5_000
#: A conversation's id this far ahead was never given out; generous, because answering 404 for
#: a conversation that was accepted would be worse than a wait of two seconds.
FAR_FUTURE_MS: Final = 24 * 3600 * 1000


def includes(last_ids: Sequence[int], read_after: Sequence[int]) -> bool:
    """Tell whether what the drain has reached, by partition, includes all the given ids."""
    return all(
        last_ids[ids.partition_of(entry_id)] >= entry_id
        for entry_id in read_after
        if entry_id >= ids.IMPORTED_BELOW
    )


def passed(session: Session, read_after: Sequence[int], lost: frozenset[int]) -> bool:
    """Tell whether PostgreSQL has reached all the given ids, one per partition.

    Raises Gone where it has not, and never will.
    """
    wanted: dict[int, int] = {}
    for entry_id in read_after:
        if entry_id >= ids.IMPORTED_BELOW:
            partition = ids.partition_of(entry_id)
            wanted[partition] = max(entry_id, wanted.get(partition, 0))
    partitions = PartitionRepository(session)
    missing = [
        (entry_id, last_id)
        for partition, entry_id in wanted.items()
        if (last_id := partitions.last_id(partition)) < entry_id
    ]
    if any(_ahead_ms(entry_id, last_id) > FUTURE_MS for entry_id, last_id in missing):
        raise BadRequest("read_after lies in the future")
    if any(entry_id in lost for entry_id, _ in missing):
        raise Gone("the write that read_after names was lost; it will not come")
    return not missing


def may_come(session: Session, conversation_id: int) -> bool:
    """Tell whether an unknown conversation may have been accepted and not drained yet."""
    if conversation_id < ids.IMPORTED_BELOW:
        return False
    last_id = PartitionRepository(session).last_id(ids.partition_of(conversation_id))
    return conversation_id > last_id and _ahead_ms(conversation_id, last_id) <= FAR_FUTURE_MS


def _ahead_ms(entry_id: int, last_id: int) -> float:
    """Return how far an id is ahead of both this clock and what its partition has reached.

    A log whose clock once ran ahead goes on from there, so this clock alone proves nothing.
    """
    return ids.unix_ms_of(entry_id) - max(time.time() * 1000, ids.unix_ms_of(last_id))
