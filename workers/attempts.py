"""Trying batches, and recording what came of them: in the run, in the health of the partitions."""

import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from api.core.log_drain import Head
from workers.batch import BatchWriter
from workers.batch_result import BatchResult
from workers.failures import BatchFailedError
from workers.health import PartitionHealth
from workers.purge import Purger
from workers.run import Run

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")

#: No partition is tried alone later than this in a run; Celery's hard limit is 60 s.
ALONE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Step:
    """What trying one batch came to."""

    #: Entries were committed, or failed: the log is not quiet.
    moved: bool = False
    #: The log is known to have more than the batch took: go on without a rest.
    more: bool = False
    #: Other drains hold every partition that has entries, or there are too many dead letters.
    ends_run: bool = False


class Attempts:
    """Tries batches and purges. A failure ends the run only where a server is out of reach."""

    def __init__(self, writer: BatchWriter, health: PartitionHealth, purger: Purger) -> None:
        self._writer = writer
        self._health = health
        self._purger = purger

    def try_batch(self, run: Run, heads: Sequence[Head], most: int) -> Step:
        """Try a batch of at most `most` of these partitions; if it fails, each of them alone."""
        batch = self._commit(run, shuffled(head.partition for head in heads), most)
        if isinstance(batch, BatchFailedError):
            return Step(moved=True, ends_run=self._try_each_alone(run, batch))
        return Step(
            moved=bool(batch.entries),
            more=sum(head.entries for head in heads) > len(batch.entries) > 0,
            ends_run=bool(batch.halted) or not batch.locked,
        )

    def _try_each_alone(self, run: Run, failure: BatchFailedError) -> bool:
        """Try each partition of a failed batch in a transaction of its own, in random order.

        A row that another session holds then delays its own partition only. Returns whether there
        were too many dead letters.
        """
        if len(failure.partitions) == 1:
            self._suspect(run, failure)
            return False
        halted = False
        for partition in shuffled(failure.partitions):
            if run.is_younger_than(ALONE_SECONDS):
                batch = self.try_alone(run, partition)
                halted = halted or bool(batch and batch.halted)
        return halted

    def try_alone(self, run: Run, partition: int) -> BatchResult | None:
        """Try a batch of one partition; if it fails, the partition becomes a suspect."""
        batch = self._commit(run, [partition], 1)
        if isinstance(batch, BatchFailedError):
            self._suspect(run, batch)
            return None
        return batch

    def _commit(
        self, run: Run, partitions: Sequence[int], most: int
    ) -> BatchResult | BatchFailedError:
        """Commit a batch and record what it did; return its failure if others may still succeed.

        Raises BatchFailedError where a server is out of reach.
        """
        try:
            batch = self._writer.write_batch(partitions, most, self._health.limits)
        except BatchFailedError as failure:
            logger.warning("a batch of partitions %s failed: %s", failure.partitions, failure)
            if failure.timed_out:
                self._health.time_out(failure.partitions, failure.share)
            if failure.out_of_reach:
                raise
            return failure
        run.add(batch)
        self._health.commit(batch.locked)
        self._health.wait(batch.waiting)
        self._purger.add(batch.deleted)
        if batch.halted:
            logger.error("too many dead letters in a minute: partitions %s stop", batch.halted)
            run.failure = "too many dead letters in a minute"
        return batch

    def _suspect(self, run: Run, failure: BatchFailedError) -> None:
        run.fail(failure)
        self._health.suspect(failure.partitions)

    def purge_some(self, run: Run) -> bool:
        """Purge some of a deleted conversation; return whether something was done, or failed."""
        try:
            return self._purger.purge_some(self._health.has_failed)
        except BatchFailedError as failure:
            if failure.out_of_reach:
                raise
            self._health.set_aside(failure.partitions)
            run.failure = run.failure or str(failure)
            return True


def shuffled(items: Iterable[_Item]) -> list[_Item]:
    """Return the items in random order, so that drains do not queue for the same partition."""
    shuffled_items = list(items)
    random.shuffle(shuffled_items)
    return shuffled_items
