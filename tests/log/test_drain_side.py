"""The contract of what the drain does with the log, on every Redis."""

import time
from collections.abc import Callable

import pytest
from redis import Redis

from api.core import ids
from api.core.errors import WrongDatabaseError
from api.core.log import Log
from tests.log.conftest import Ask
from tests.support.log_requests import DATABASE, edit, message, open_conversation, submit


def test_reading_takes_a_share_of_entries_and_of_bytes_but_at_least_one(log: Log) -> None:
    conversation = open_conversation(log)
    submit(log, *(message(conversation, "x" * 100) for _ in range(50)))

    by_count = log.read([0, 1], 20, 10**6)
    by_bytes = log.read([0], 100, 1_000)
    single = log.read([0], 1, 1)

    assert len(by_count[0]) == 20
    assert by_count[1] == []
    assert len(by_bytes[0]) == 11
    assert len(single[0]) == 1


def test_reading_past_one_chunk_misses_nothing(log: Log) -> None:
    conversation = open_conversation(log)
    answers = submit(log, *(message(conversation, str(n)) for n in range(100)))

    entries = log.read([0], 1_000, 10**6)[0]

    assert [e.id for e in entries] == [conversation, *(a.id for a in answers)]


def test_many_entries_are_read_up_to_a_share_of_bytes(log: Log) -> None:
    conversation = open_conversation(log)
    answers = submit(log, *(message(conversation, "x" * (n % 7) ** 3) for n in range(150)))
    in_order = [conversation, *(answer.id for answer in answers)]

    for most_bytes in (1, 2_000, 5_000, 8_000, 10**6):
        entries = log.read([0], 1_000, most_bytes)[0]

        assert [e.id for e in entries] == in_order[: len(entries)]
        # All are 9,270 bytes.
        assert min(9_270, most_bytes / 3) <= sum(len(e.data) for e in entries) <= most_bytes


def test_heads_name_the_partitions_that_have_entries(log: Log) -> None:
    third = open_conversation(log, home=3)
    submit(log, message(third, "x"))

    (head,) = log.heads()

    assert (head.partition, head.first_id, head.entries) == (3, third, 2)


def test_an_id_is_absent_once_nothing_up_to_it_waits_and_it_is_old(
    log: Log, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*wanted: int) -> frozenset[int]:
        found: frozenset[int] = ask(lambda known: known.absent(wanted))
        return found

    first, other = open_conversation(log, home=3), open_conversation(log, home=4)
    (second,) = (answer.id for answer in submit(log, message(first, "x")))
    # Each is older than this.
    monkeypatch.setattr("api.writes.async_log.SETTLED_SECONDS", -1.0)
    waiting = absent(first, second, other)
    log.trim({3: first}, [], {})
    partly = absent(first, second, other)
    log.trim({3: second}, [], {})

    gone = absent(first, second, other)
    monkeypatch.undo()

    assert [waiting, partly, gone] == [set(), {first}, {first, second}]
    assert not absent(first, second, other)


def test_trimming_removes_up_to_the_committed_id_and_no_more(log: Log) -> None:
    conversation = open_conversation(log)
    first, second = submit(log, message(conversation, "a"), message(conversation, "b"))

    log.trim({0: first.id}, [conversation], {})

    assert [e.id for e in log.read([0], 10, 10**6)[0]] == [second.id]


def test_a_conversation_gets_its_ttl_only_when_nothing_of_it_is_left(
    log: Log, redis: Redis
) -> None:
    conversation = open_conversation(log)
    first, second = submit(log, message(conversation, "a"), message(conversation, "b"))
    conv, turns = (
        log.key(conversation, f"conv:{conversation}"),
        log.key(conversation, f"turns:{conversation}"),
    )

    log.trim({0: first.id}, [conversation], {})
    half = redis.ttl(conv), redis.ttl(turns)
    log.trim({0: second.id}, [conversation], {})
    whole = redis.ttl(conv), redis.ttl(turns)
    submit(log, message(conversation, "c"))
    again = redis.ttl(conv), redis.ttl(turns)

    assert half == again == (-1, -1)
    assert 6 * 24 * 3600 < whole[0] <= 7 * 24 * 3600
    assert 3000 < whole[1] <= 3600


def test_counts_add_up(log: Log) -> None:
    log.trim({}, [], {"committed": 3, "batches": 1})
    log.trim({}, [], {"committed": 4})

    assert log.counts() == {"committed": 7, "batches": 1}


def test_the_bell_is_put_away_only_when_every_stream_is_empty(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    redis.set(log.key(0, "bell"), 1)

    left = log.finish()
    kept = redis.exists(log.key(0, "bell"))
    log.trim({0: conversation}, [], {})
    empty = log.finish()

    assert (left, kept, empty, redis.exists(log.key(0, "bell"))) == (False, 1, True, 0)


@pytest.mark.usefixtures("on_one_server")
def test_a_bell_is_spread_only_while_the_drain_it_rang_for_has_not_put_it_away(
    log: Log, redis: Redis
) -> None:
    def bells() -> int:
        return redis.exists(*(log.key(partition, "bell") for partition in range(16)))

    conversation = open_conversation(log, home=3)
    log.run("spread_bell")
    spread = bells()
    log.trim({3: conversation}, [], {})
    log.finish()
    log.run("spread_bell")

    assert (spread, bells()) == (16, 0)


def test_a_drain_that_works_keeps_the_bell(log: Log, redis: Redis) -> None:
    log.trim({}, [], {})

    assert 0 < redis.pttl(log.key(0, "bell")) <= 3_000


def test_one_helper_is_rung_for_in_five_seconds(log: Log, redis: Redis) -> None:
    assert [log.wants_helper(), log.wants_helper()] == [True, False]
    assert 0 < redis.pttl(log.key(0, "helper")) <= 5_000


def test_a_worker_is_there_for_15_s_after_it_said_so(log: Log, redis: Redis) -> None:
    log.present("one")
    log.present("two")
    log.present("two")
    there = log.run("workers", at=(0,))

    # What a clock that goes on would do.
    redis.zincrby(log.key(0, "workers"), -15_001, "one")
    later = log.run("workers", at=(0,))
    log.present("two")

    assert (there, later) == (2, 1)
    assert redis.zrange(log.key(0, "workers"), 0, -1) == [b"two"]


def test_a_log_that_went_back_says_so_until_that_is_acknowledged(log: Log, redis: Redis) -> None:
    before = log.run("went_back")
    redis.set(log.key(3, "went_back"), "1")
    after = log.run("went_back")
    log.acknowledge_going_back()

    assert (before, after, log.run("went_back")) == (0, 1, 0)


def test_a_started_drain_is_counted(log: Log) -> None:
    log.started()
    log.started()

    assert log.starts() == 2


def test_an_emptied_redis_opens_above_what_postgresql_has(closed_log: Log) -> None:
    ahead = ids.first_at(int(time.time() * 1000) + 10**6, 2)

    went_back = closed_log.adopt(
        DATABASE, [(p, ahead if p == 2 else 0, 40) for p in range(ids.PARTITIONS)]
    )

    assert went_back
    assert closed_log.went_back_at_ms()
    partitions = closed_log.status().partitions
    assert partitions[2].tail == ahead
    assert (partitions[1].tail or 0) >= ids.first_at(int(time.time() * 1000) - 60_000, 1)
    assert {p.accepted for p in partitions} == {40}


def test_an_older_redis_is_raised_and_its_entries_counted(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    answers = submit(log, *(message(conversation, str(n)) for n in range(40)))
    redis.set(log.key(0, "tail"), 5)

    went_back = log.adopt(DATABASE, [(0, answers[9].id, 100)])
    (next_one,) = submit(log, message(conversation, "next"))

    assert went_back
    assert next_one.id > answers[-1].id
    assert log.status().partitions[0].accepted == 100 + 30 + 1


def test_opening_an_open_log_changes_nothing(log: Log) -> None:
    open_conversation(log)
    before = log.status().partitions

    went_back = log.adopt(DATABASE, [(p, 0, 0) for p in range(ids.PARTITIONS)])

    assert not went_back
    assert log.went_back_at_ms() is None
    assert log.status().partitions == before


def test_books_that_say_too_much_are_not_believed(log: Log) -> None:
    open_conversation(log)

    log.adopt(DATABASE, [(0, 0, 100)])

    assert log.status().partitions[0].accepted == 1


def test_regressed_entries_are_counted_when_the_books_know_of_them(log: Log) -> None:
    conversation = open_conversation(log)

    log.recount([(0, conversation, 3), (1, 0, 0)])

    assert log.went_back_at_ms()
    assert [p.accepted for p in log.status().partitions[:2]] == [3, 0]


def test_another_databases_log_is_refused(log: Log) -> None:
    with pytest.raises(WrongDatabaseError, match="another database"):
        log.adopt("another", [(0, 0, 0)])


def test_the_status_tells_age_and_bytes(log: Log) -> None:
    conversation = open_conversation(log, title="four")
    submit(log, message(conversation, "x" * 10), edit("rename", conversation, title="sixsix"))

    status = log.status()

    assert (status.entries, status.partitions[0].bytes) == (3, 20)
    assert 0 <= status.oldest_age_ms < 60_000


def test_an_entry_of_a_later_format_is_known_by_its_version_only(log: Log, redis: Redis) -> None:
    redis.xadd(log.key(4, "log"), {"h": "3 novel", "d": "x"}, id="4100-0")

    (entry,) = log.read([4], 10, 10**6)[4]

    assert (entry.id, entry.version) == (4100, 3)


OPERATIONS: list[tuple[str, Callable[[Log], object]]] = [
    ("read", lambda log: log.read([0], 10, 10**6)),
    ("trim", lambda log: log.trim({0: 2**53}, [], {"committed": 1}, {(0, 1): (1, 1)})),
    ("finish", lambda log: log.finish()),
    ("spread_bell", lambda log: log.run("spread_bell")),
    ("heads", lambda log: log.heads()),
    ("recount", lambda log: log.recount([(0, 0, 100)])),
    ("adopt", lambda log: log.adopt(DATABASE, [(0, 2**50, 100)])),
    ("balance", lambda log: log.balance(0, 0)),
    ("revoke", lambda log: log.revoke(1, ["a"], 60)),
    ("gone", lambda log: log.run("gone", 1, 60)),
    ("stop", lambda log: log.run("stop", 1, 4096, "")),
    ("claim", lambda log: log.run("claim", "me", 0, 1000, 10)),
    ("say", lambda log: log.run("say", 4096, "me", "1:4096:4096", "delta", 1, "x")),
]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_the_log_of_another_database_is_neither_read_nor_changed(
    log: Log, redis: Redis, name: str, operation: Callable[[Log], object]
) -> None:
    if log.servers.is_cluster and name in {"spread_bell", "revoke", "gone"}:
        pytest.skip("these are for all partitions, of which one alone is another database's")
    open_conversation(log, home=0)
    redis.set(log.key(0, "database"), "another")
    redis.delete(log.key(0, "bell"))
    before = contents(redis)

    with pytest.raises(WrongDatabaseError):
        operation(log)

    assert contents(redis) == before


def contents(redis: Redis) -> dict[str | bytes, bytes | None]:
    return {key: redis.dump(key) for key in redis.keys("*")}


def test_what_a_drain_left_undone_is_told_to_one_watchdog(log: Log) -> None:
    log.leave_undone()
    log.leave_undone()

    assert [log.take_undone() for _ in range(2)] == [True, False]
