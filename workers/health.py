"""The health of the log's partitions, as one process has seen it.

A batch that fails is tried again partition by partition, so that its failures here are those of a
single partition. In a partition's next run it is tried last and alone: it delays only itself.

                     set_aside (purge failed), wait (unknown entry format)
    +---------+ ------------------------------------------> +---------------+
    | HEALTHY |                                             | SKIPPED       |
    | workable| <------------------ begin_run ------------- | until the end |
    +---------+                                             | of this run   |
      ^     |                                               +---------------+
      |     | suspect (failed alone)
      |     v
      |   +--------------------+  begin_run   +-----------------------+
      |   | FAILED             | -----------> | SUSPECT               |
      |   | not tried any more | <----------- | tried last, and alone |
      |   | in this run        |   suspect    +-----------------------+
      |   +--------------------+                   |
      |                                            |
      +--------------- commit ---------------------+

Apart from that, each partition that timed out has a batch limit: half of what was tried, down to
one entry. It doubles with each commit until it reaches the size of a whole batch, and is gone then.
"""

from collections.abc import Iterable, Mapping


class PartitionHealth:
    """Which partitions may be drained now, and in batches of how many entries."""

    def __init__(self, max_entries: int) -> None:
        """Start with all partitions healthy; `max_entries` is the size of a whole batch."""
        self._max_entries = max_entries
        self._limits: dict[int, int] = {}
        self._suspects: set[int] = set()
        #: Skipped until the end of this run.
        self._failed: set[int] = set()
        self._waiting: set[int] = set()

    @property
    def limits(self) -> Mapping[int, int]:
        """How many entries a batch may take of a partition, for those that timed out."""
        return self._limits

    def begin_run(self) -> None:
        """Forget what was to be skipped in the last run. Suspects and limits stay."""
        self._failed.clear()
        self._waiting.clear()

    def is_workable(self, partition: int) -> bool:
        """Return whether a partition may be part of a batch with others."""
        return partition not in self._suspects and not self._is_skipped(partition)

    def may_be_retried(self, partition: int) -> bool:
        """Return whether a partition failed in an earlier run, and not yet in this one."""
        return partition in self._suspects and not self._is_skipped(partition)

    def has_failed(self, partition: int) -> bool:
        """Return whether a partition failed in this run."""
        return partition in self._failed

    def commit(self, partitions: Iterable[int]) -> None:
        """Record a committed batch: its partitions are no suspects, and their limits double."""
        for partition in partitions:
            self._suspects.discard(partition)
            if partition in self._limits:
                self._limits[partition] *= 2
                if self._limits[partition] >= self._max_entries:
                    del self._limits[partition]

    def wait(self, partitions: Iterable[int]) -> None:
        """Skip partitions whose next entry only a newer worker can read."""
        self._waiting.update(partitions)

    def time_out(self, partitions: Iterable[int], tried: int) -> None:
        """Record a batch that timed out with `tried` entries per partition: take half of it."""
        for partition in partitions:
            limit = min(self._limits.get(partition, tried), tried)
            self._limits[partition] = max(1, limit // 2)

    def suspect(self, partitions: Iterable[int]) -> None:
        """Record partitions that failed alone: skip them now, try them last from now on."""
        failed = set(partitions)
        self._failed |= failed
        self._suspects |= failed

    def set_aside(self, partitions: Iterable[int]) -> None:
        """Skip partitions in this run, and only in this one."""
        self._failed.update(partitions)

    def _is_skipped(self, partition: int) -> bool:
        return partition in self._failed or partition in self._waiting
