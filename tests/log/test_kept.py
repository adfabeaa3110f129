"""What was committed stays in the log for a while, counts as nothing, and can be taken again."""

import pytest
from redis import Redis

from api.core.log import Log
from api.core.log_drain import Reading
from tests.log.conftest import Ask
from tests.support.log_requests import message, open_conversation, submit

KEEP_MS = 60_000


def add(log: Log, conversation: int, *texts: str) -> list[int]:
    return [answer.id for answer in submit(log, *(message(conversation, t) for t in texts))]


def read(log: Log) -> Reading:
    return log.read([0], 100, 10**6)


def commit(log: Log, due_ms: int = 0) -> None:
    """Do what a drain does that reads and commits everything.

    At its time that may go which had been committed by `due_ms`.
    """
    reading = read(log)
    reading.as_of_ms = due_ms + KEEP_MS
    last = reading[0][-1].id if reading[0] else 0
    log.trim({0: last}, [], {}, reading=reading, keep_ms=KEEP_MS)


def entries(redis: Redis, log: Log) -> int:
    return int(redis.xlen(log.key(0, "log")))


def test_what_was_committed_is_kept_and_counts_as_nothing(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    add(log, conversation, "a", "b")
    commit(log)

    assert (entries(redis, log), log.heads(), read(log)[0]) == (3, [], [])
    assert (log.status().entries, log.status().kept, log.status().oldest_age_ms) == (0, 3, 0)
    assert log.finish()
    assert log.balance(0, conversation) == (3, 2)

    (new,) = add(log, conversation, "c")
    (head,) = log.heads()
    assert (head.first_id, head.entries, [one.id for one in read(log)[0]]) == (new, 1, [new])
    assert log.status().partitions[0].bytes == 1
    assert not log.finish()


def committed_by_ms(log: Log, redis: Redis) -> int:
    """Return by when the last kept entry had been committed."""
    found = redis.get(log.key(0, "committed"))
    assert isinstance(found, bytes)
    return int(found.split()[2])


def test_kept_entries_go_once_they_were_found_to_be_old(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    commit(log)
    by_ms = committed_by_ms(log, redis)
    commit(log, by_ms - 1)
    assert (entries(redis, log), log.heads(KEEP_MS), log.heads()) == (1, [], [])
    add(log, conversation, "a")

    commit(log, committed_by_ms(log, redis) + 10 * KEEP_MS)

    # Also what was committed just now: its time was over by far.
    assert (entries(redis, log), log.status().kept) == (0, 0)


def test_each_part_of_the_time_goes_by_itself(log: Log, redis: Redis) -> None:
    """As after two commits, the first ten seconds before the second."""
    conversation = open_conversation(log)
    commit(log)
    early = committed_by_ms(log, redis) - 10_000
    redis.set(log.key(0, "committed"), f"{conversation} 1 {early} {early}")
    add(log, conversation, "a", "b")
    commit(log)
    late = committed_by_ms(log, redis)
    assert (entries(redis, log), log.status().kept) == (3, 3)

    commit(log, early - 1)
    assert (entries(redis, log), log.status().kept) == (3, 3)
    commit(log, late - 1)
    assert (entries(redis, log), log.status().kept) == (2, 2)
    commit(log, late)

    assert (entries(redis, log), log.status().kept) == (0, 0)
    assert redis.exists(log.key(0, "kept")) == 0


def test_a_partition_that_keeps_for_too_long_has_a_head(log: Log) -> None:
    open_conversation(log)
    commit(log)

    assert log.heads(KEEP_MS) == []
    # The time by which it had been committed lies a part of the time ahead at most.
    assert [(h.first_id, h.entries) for h in log.heads(-KEEP_MS)] == [(0, 0)]


def test_what_a_database_lacks_is_taken_again_in_order(log: Log, ask: Ask) -> None:
    conversation = open_conversation(log)
    ids = add(log, conversation, "a", "b", "c")
    commit(log)

    assert log.take_again([(0, ids[0], 2)]) == (2, 0)

    assert [one.id for one in read(log)[0]] == ids[1:]
    assert (log.status().entries, log.status().kept) == (2, 2)
    assert log.balance(0, ids[0]) == (4, 2)
    commit(log)
    assert (log.status().entries, log.status().kept) == (0, 4)


def test_nothing_is_taken_again_by_a_database_that_lacks_more(log: Log, ask: Ask) -> None:
    conversation = open_conversation(log)
    ids = add(log, conversation, "a", "b", "c")
    log.trim({0: ids[0]}, [], {})
    commit(log)

    # It has the open only: `a` is in neither, `b` and `c` are in the log.
    assert log.take_again([(0, conversation, 1)]) == (0, 1)
    assert (log.heads(), log.balance(0, conversation)) == ([], (4, 2))

    assert log.take_again([(0, conversation, 1)], lost_is_known=True) == (2, 1)
    assert [one.id for one in read(log)[0]] == ids[1:]
    assert log.balance(0, conversation) == (3, 2)


def test_kept_entries_go_when_memory_is_short(log: Log, redis: Redis, ask: Ask) -> None:
    conversation = open_conversation(log)
    commit(log)
    (left,) = add(log, conversation, "a")

    assert ask(lambda known: known.drop_kept()) == 1

    assert (entries(redis, log), [head.first_id for head in log.heads()]) == (1, [left])


def test_an_entry_that_is_kept_is_not_absent(
    log: Log, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = open_conversation(log)
    (added,) = add(log, conversation, "a")
    commit(log)
    # Each is older than this.
    monkeypatch.setattr("api.writes.async_log.SETTLED_SECONDS", -1.0)

    never = conversation - 16

    assert ask(lambda known: known.absent((never, conversation, added))) == {never}


def test_a_worker_that_keeps_nothing_may_have_trimmed(log: Log, redis: Redis) -> None:
    """While a worker of before is still there, counts are right again after the next batch."""
    conversation = open_conversation(log)
    commit(log)
    (added,) = add(log, conversation, "a")
    redis.xtrim(log.key(0, "log"), minid=f"{added + 1}-0", approximate=False)
    add(log, conversation, "b")
    assert log.status().entries == 1

    reading = read(log)
    reading.after[0] = -1
    log.trim({0: reading[0][-1].id}, [], {}, reading=reading, keep_ms=KEEP_MS)

    assert (log.status().entries, log.status().kept, entries(redis, log)) == (0, 1, 1)
