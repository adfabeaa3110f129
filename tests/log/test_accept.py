"""The contract of the accept script, on every Redis."""

import time
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from api.core import ids
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest, turn_line
from api.core.log import Log
from tests.log.conftest import Ask
from tests.support.log_requests import (
    DATABASE,
    LIMITS,
    NEVER_LATE,
    edit,
    message,
    open_conversation,
    reply,
    submit,
    turn,
)
from tests.support.waiting import eventually


def test_an_open_conversation_and_its_messages_share_a_partition(log: Log) -> None:
    conversation = open_conversation(log, home=5)

    answers = submit(log, message(conversation, "one"), message(conversation, "two"))

    assert [a.status for a in answers] == ["ok", "ok"]
    assert {ids.partition_of(a.id) for a in answers} == {5} == {ids.partition_of(conversation)}
    assert conversation < answers[0].id < answers[1].id


def test_the_log_keeps_every_field_of_an_entry(log: Log) -> None:
    conversation = open_conversation(log, owner=7, title="Reise nach Łódź")
    text = "NUL-free: \u202eعربى 👩‍👩‍👧‍👦 e\u0301 \r\n\t:"

    (answer,) = submit(log, message(conversation, text, owner=7))

    opened, added = log.read([ids.partition_of(conversation)], 10, 10**6)[0]
    assert (opened.op, opened.user_id, opened.data.decode()) == ("open", 7, "Reise nach Łódź")
    assert opened.id == opened.conversation_id == conversation
    assert (added.op, added.id, added.conversation_id) == ("add", answer.id, conversation)
    assert (added.role, added.status, added.data.decode()) == ("user", "stored", text)
    assert added.created_at_ms == answer.created_at_ms
    assert added.total_bytes == opened.total_bytes + len(text.encode())


def test_an_entry_has_a_field_for_its_trace_only_where_its_request_is_traced(log: Log) -> None:
    conversation = open_conversation(log)
    trace = f"00-{32 * '1'}-{16 * '2'}-01"

    submit(log, message(conversation, "one"), replace(message(conversation, "two"), trace=trace))

    name = log.key(conversation, "log")
    stored: Any = log.ask(conversation, lambda redis: redis.xrange(name))
    assert [list(fields) for _, fields in stored] == [[b"h", b"d"]] * 2 + [[b"h", b"d", b"t"]]
    (read,) = log.read([ids.partition_of(conversation)], 10, 10**6).values()
    assert [entry.trace for entry in read] == ["", "", trace]
    assert [entry.data for entry in read] == [b"", b"one", b"two"]


def test_an_id_is_made_of_redis_time_and_is_exact(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)

    (answer,) = submit(log, message(conversation, "now"))

    seconds, _ = redis.time()
    assert abs(ids.unix_ms_of(answer.id) - seconds * 1000) < 5_000
    assert answer.id <= ids.MAX_ID


def test_more_than_256_entries_in_a_millisecond_borrow_the_next(log: Log) -> None:
    conversation = open_conversation(log)

    answers = submit(log, *(message(conversation, str(n)) for n in range(600)))

    found = [a.id for a in answers]
    assert found == sorted(set(found))
    assert {i & 15 for i in found} == {0}


def test_a_tail_ahead_of_the_clock_never_goes_back(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    ahead = ids.first_at(int(time.time() * 1000) + 3_600_000, 0)
    redis.set(log.key(0, "tail"), ahead)

    first, second = submit(log, message(conversation, "a"), message(conversation, "b"))

    assert (first.id, second.id) == (ahead + 16, ahead + 32)


def test_a_repeated_request_is_accepted_once(log: Log) -> None:
    conversation = open_conversation(log)

    first, second = submit(
        log, message(conversation, "hi", key="k"), message(conversation, "hi", key="k")
    )

    assert (first.status, second.status) == ("ok", "replay")
    assert (first.id, first.created_at_ms) == (second.id, second.created_at_ms)
    assert log.status().entries == 2


def test_a_key_with_another_body_is_a_conflict(log: Log) -> None:
    conversation = open_conversation(log)
    submit(log, message(conversation, "hi", key="k"))

    (other,) = submit(log, message(conversation, "ho", key="k"))

    assert other.status == "conflict"


@pytest.mark.parametrize("key", ["k", "a:b:c", "0", " " * 255])
def test_keys_belong_to_their_user_conversation_and_kind(log: Log, key: str) -> None:
    mine, other = open_conversation(log), open_conversation(log)
    theirs = open_conversation(log, owner=2)
    request = message(mine, "hi", key=key)

    answers = submit(
        log,
        request,
        replace(request, conversation_id=other),
        replace(request, conversation_id=theirs, user_id=2),
        replace(request, scope="turn", lease="x"),
    )

    assert [a.status for a in answers] == ["ok"] * 4


def test_an_open_repeated_with_its_key_is_the_same_conversation(log: Log) -> None:
    request = AcceptRequest("open", 1, "open", data=b"T", key="k", home=1)

    first, second = submit(log, request, request)

    assert (second.status, second.id) == ("replay", first.id)


def test_a_key_is_forgotten_after_its_time(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    request = message(conversation, "hi", key="k")
    submit(log, request)
    [bucket] = [key for key in redis.scan_iter() if b":idem:" in key]
    ttl = redis.ttl(bucket)

    limits = replace(LIMITS, idempotency_seconds=1)
    eventually(lambda: submit(log, request, limits=limits)[0].status == "ok")

    assert 0 < ttl <= LIMITS.idempotency_seconds


def test_somebody_elses_conversation_is_foreign_whatever_the_api_believes(log: Log) -> None:
    conversation = open_conversation(log, owner=1)
    request = message(conversation, "hi", owner=2)

    answers = submit(log, request, replace(request, state="live"))

    assert [a.status for a in answers] == ["foreign", "foreign"]
    assert log.status().entries == 1


def test_a_conversation_that_the_log_forgot_is_asked_for_once(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    redis.delete(log.key(conversation, f"conv:{conversation}"))
    request = message(conversation, "hi")

    asked, told, known = submit(log, request, replace(request, state="live"), request)

    assert (asked.status, told.status, known.status) == ("unknown", "ok", "ok")
    assert redis.hget(log.key(conversation, f"conv:{conversation}"), "owner") == b"1"


def test_what_postgresql_says_is_ignored_where_the_log_knows(log: Log) -> None:
    conversation = open_conversation(log)
    submit(log, edit("delete", conversation))

    (answer,) = submit(log, replace(message(conversation, "hi"), state="live"))

    assert answer.status == "deleted"


@pytest.mark.parametrize(
    ("state", "status"), [("closed", "conversation_closed"), ("deleted", "deleted")]
)
def test_an_old_conversation_keeps_its_state(
    log: Log, redis: Redis, state: str, status: str
) -> None:
    conversation = open_conversation(log)
    redis.delete(log.key(conversation, f"conv:{conversation}"))
    told = replace(message(conversation, "hi"), state=state)  # type: ignore[arg-type] # params

    (answer,) = submit(log, told)

    assert answer.status == status


def test_a_deleted_conversation_takes_nothing_but_another_delete(log: Log) -> None:
    conversation = open_conversation(log)
    submit(log, edit("delete", conversation))

    answers = submit(
        log,
        message(conversation, "late"),
        edit("rename", conversation, title="T"),
        edit("close", conversation),
        reply(conversation, 1, "late"),
        edit("delete", conversation),
    )

    assert [a.status for a in answers] == ["deleted"] * 4 + ["ok"]


def test_a_closed_conversation_takes_a_pending_reply_and_edits_only(log: Log) -> None:
    conversation = open_conversation(log)
    submit(log, edit("close", conversation))

    answers = submit(
        log,
        message(conversation, "late"),
        turn(conversation, "late"),
        reply(conversation, 5, "pending"),
        edit("rename", conversation, title="T"),
        edit("close", conversation),
    )

    assert [a.status for a in answers] == [
        "conversation_closed",
        "conversation_closed",
        "ok",
        "ok",
        "ok",
    ]


def test_a_deleted_account_is_refused(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    redis.set(log.key(0, "gone:1"), 1)

    (answer,) = submit(log, message(conversation, "hi"))

    assert answer.status == "gone"


def test_a_full_partition_refuses_its_own_users_and_nobody_else(log: Log) -> None:
    conversation = open_conversation(log, home=0)
    limits = Limits(
        log_max_entries=3, log_max_bytes=10**6, log_max_age_seconds=10**12, idempotency_seconds=60
    )

    answers = submit(log, *(message(conversation, "x") for _ in range(4)), limits=limits)
    opened, elsewhere = submit(
        log,
        AcceptRequest("open", 16, "open", home=0),
        AcceptRequest("open", 1, "open", home=1),
        limits=limits,
    )

    assert [a.status for a in answers] == ["ok", "ok", "full", "full"]
    assert (opened.status, elsewhere.status) == ("full", "ok")


def test_bytes_are_capped_as_entries_are(log: Log) -> None:
    conversation = open_conversation(log)
    limits = Limits(
        log_max_entries=1_000, log_max_bytes=100, log_max_age_seconds=10**12, idempotency_seconds=60
    )

    answers = submit(log, *(message(conversation, "x" * 40) for _ in range(3)), limits=limits)
    (later,) = submit(log, message(conversation, "x" * 40), limits=limits)

    assert [a.status for a in answers] == ["ok", "ok", "full"]
    assert later.status == "full"
    assert log.status().partitions[0].bytes == 80


def test_a_partition_refuses_while_its_oldest_entry_is_too_old(log: Log) -> None:
    conversation = open_conversation(log, home=0)
    limits = Limits(
        log_max_entries=10**6, log_max_bytes=10**9, log_max_age_seconds=1, idempotency_seconds=60
    )
    deadline = time.monotonic() + 5

    status = "ok"
    while status == "ok" and time.monotonic() < deadline:
        (refused,) = submit(log, message(conversation, "x"), limits=limits)
        status = refused.status
    (opened,) = submit(log, AcceptRequest("open", 1, "open", home=0), limits=limits)
    log.trim({0: log.status().partitions[0].tail or 0}, [], {}, {})
    (answer,) = submit(log, message(conversation, "x"), limits=limits)  # of an empty partition

    assert (status, opened.status) == ("full", "full")
    assert answer.status == "ok"


def test_a_call_past_its_deadline_writes_nothing(log: Log) -> None:
    conversation = open_conversation(log)

    answers = log.accept(LIMITS, int(time.time() * 1000) - 60_000, [message(conversation, "hi")])

    assert [a.status for a in answers.results] == ["late"]
    assert not answers.ring
    assert log.status().entries == 1


def test_one_bad_entry_leaves_its_neighbours_alone(log: Log, redis: Redis) -> None:
    good, bad = open_conversation(log, home=0), open_conversation(log, home=1)
    redis.delete(log.key(bad, f"conv:{bad}"))
    redis.set(log.key(bad, f"conv:{bad}"), "not a hash")

    answers = submit(log, message(good, "a"), message(bad, "b"), message(good, "c"))

    assert [a.status for a in answers] == ["ok", "error", "ok"]
    assert [e.data for e in log.read([0], 10, 10**6)[0]] == [b"", b"a", b"c"]


def test_an_entry_is_accepted_though_what_follows_the_append_fails(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    redis.delete(log.key(conversation, f"turns:{conversation}"))
    redis.set(log.key(conversation, f"turns:{conversation}"), "not a list")
    redis.set(log.key(0, "accepted"), "not a number")

    first, again = submit(
        log, message(conversation, "hi", key="k"), message(conversation, "hi", key="k")
    )

    assert (first.status, again.status, again.id) == ("ok", "replay", first.id)


def test_the_bell_asks_for_one_doorbell_until_it_is_put_away(log: Log) -> None:
    def rings() -> bool:
        return log.accept(LIMITS, NEVER_LATE, [AcceptRequest("open", 1, "open")]).ring

    asked = [rings(), rings(), rings()]
    log.silence()

    assert asked == [True, False, False]
    assert rings()


def test_a_refused_entry_rings_for_nobody(log: Log) -> None:
    answers = log.accept(LIMITS, NEVER_LATE, [message(4096, "hi")])

    assert not answers.ring


def test_a_closed_log_accepts_nothing(closed_log: Log) -> None:
    request = AcceptRequest("open", 1, "open")

    answers = closed_log.accept(LIMITS, NEVER_LATE, [request])

    assert [a.status for a in answers.results] == ["log_closed"]
    assert not answers.is_open


def test_a_turn_gets_the_turns_before_it(log: Log) -> None:
    conversation = open_conversation(log)
    (first,) = submit(log, turn(conversation, "Hello: it is me"))
    (answered,) = submit(log, reply(conversation, first.id, "Hello you"))

    (second,) = submit(log, turn(conversation, "And now?"))

    assert first.warm
    assert first.leased
    assert first.recent == ()
    assert second.recent == (
        turn_line(first.id, "user", "Hello: it is me"),
        turn_line(answered.id, "assistant", "Hello you"),
    )


def test_raw_messages_are_turns_too(log: Log) -> None:
    conversation = open_conversation(log)
    (raw,) = submit(log, message(conversation, "raw"))

    (answer,) = submit(log, turn(conversation, "next"))

    assert answer.recent == (turn_line(raw.id, "user", "raw"),)


def test_recent_turns_are_bounded_by_count_and_bytes(log: Log) -> None:
    many, large, larger = (open_conversation(log) for _ in range(3))
    submit(log, *(message(many, str(n)) for n in range(30)))
    submit(log, *(message(large, "x" * 5_000) for _ in range(6)))
    submit(log, message(larger, "short"), message(larger, "y" * 20_000))

    (of_many,) = submit(log, turn(many, "now"))
    (of_large,) = submit(log, turn(large, "now"))
    (of_larger,) = submit(log, turn(larger, "now"))

    assert len(of_many.recent) == 20
    assert of_many.recent[-1].endswith(b":29")
    assert len(of_large.recent) == 3
    # One that is longer than all may be is not kept: it is loaded where it is needed.
    assert of_larger.status == "cold"


def test_how_many_turns_are_kept_is_a_setting(log: Log) -> None:
    limits = replace(LIMITS, assistant_memory_messages=3, assistant_memory_bytes=60_000)
    many, large = open_conversation(log), open_conversation(log)
    contents = [message(many, str(n)) for n in range(9)]
    submit(log, *contents, *(message(large, "x" * 25_000) for _ in range(3)), limits=limits)

    (of_many,) = submit(log, turn(many, "now"), limits=limits)
    (of_large,) = submit(log, turn(large, "now"), limits=limits)

    assert [line.rpartition(b":")[2] for line in of_many.recent] == [b"6", b"7", b"8"]
    assert len(of_large.recent) == 2


def test_the_turns_of_a_deleted_conversation_are_forgotten(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    submit(log, message(conversation, "x"), edit("delete", conversation))

    assert redis.exists(log.key(conversation, f"turns:{conversation}")) == 0


def test_a_cold_turn_is_not_appended_until_its_turns_are_loaded(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    redis.delete(log.key(conversation, f"turns:{conversation}"))

    (cold,) = submit(log, turn(conversation, "new"))
    loaded = replace(
        turn(conversation, "new"), as_of=str(old.id), loaded=(turn_line(old.id, "user", "old"),)
    )
    (warm,) = submit(log, loaded)
    (next_one,) = submit(log, turn(conversation, "newer"))

    assert (cold.status, cold.id) == ("cold", old.id)
    assert warm.status == "ok"
    assert [line.split(b":")[2] for line in next_one.recent] == [b"old", b"new"]
    assert log.status().entries == 4


def test_turns_loaded_before_the_newest_entry_are_not_remembered(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    old, newer = submit(log, message(conversation, "old"), message(conversation, "newer"))
    redis.delete(log.key(conversation, f"turns:{conversation}"))

    stale = replace(
        turn(conversation, "x"), as_of=str(old.id), loaded=(turn_line(old.id, "user", "old"),)
    )
    (answer,) = submit(log, stale)

    assert newer.id > old.id
    assert answer.status == "ok"
    assert redis.exists(log.key(conversation, f"turns:{conversation}")) == 0


def test_turns_older_than_what_the_log_holds_of_a_forgotten_conversation_are_not_remembered(
    log: Log, redis: Redis
) -> None:
    conversation = open_conversation(log)
    old, newer = submit(log, message(conversation, "old"), message(conversation, "newer"))
    redis.delete(
        log.key(conversation, f"turns:{conversation}"),
        log.key(conversation, f"conv:{conversation}"),
    )
    known = replace(turn(conversation, "x"), state="live")

    (cold,) = submit(log, known)
    stale = replace(known, as_of=str(old.id), loaded=(turn_line(old.id, "user", "old"),))
    (answer,) = submit(log, stale)

    assert (cold.status, cold.id) == ("cold", newer.id)
    assert answer.status == "ok"
    assert redis.exists(log.key(conversation, f"turns:{conversation}")) == 0


def test_turns_loaded_before_the_drain_trimmed_a_newer_entry_are_not_remembered(
    log: Log, redis: Redis
) -> None:
    conversation = open_conversation(log)
    old, newer = submit(log, message(conversation, "old"), message(conversation, "newer"))
    redis.delete(
        log.key(conversation, f"turns:{conversation}"),
        log.key(conversation, f"conv:{conversation}"),
    )
    known = replace(turn(conversation, "x"), state="live")

    (cold,) = submit(log, known)
    log.trim({ids.partition_of(conversation): newer.id}, [conversation], {})
    stale = replace(known, as_of=str(old.id), loaded=(turn_line(old.id, "user", "old"),))
    (answer,) = submit(log, stale)

    assert (cold.status, cold.id, cold.tail) == ("cold", newer.id, newer.id)
    assert answer.status == "ok"
    assert redis.exists(log.key(conversation, f"turns:{conversation}")) == 0


def test_turns_loaded_before_a_message_that_was_drained_and_forgotten_are_not_remembered(
    log: Log, redis: Redis
) -> None:
    conversation = open_conversation(log)
    partition = ids.partition_of(conversation)
    (old,) = submit(log, message(conversation, "old"))
    log.trim({partition: old.id}, [conversation], {})
    redis.delete(
        log.key(conversation, f"turns:{conversation}"),
        log.key(conversation, f"conv:{conversation}"),
    )
    known = replace(turn(conversation, "x"), state="live")

    (cold,) = submit(log, known)
    (newer,) = submit(log, replace(message(conversation, "newer"), state="live"))
    log.trim({partition: newer.id}, [conversation], {})
    redis.delete(log.key(conversation, f"conv:{conversation}"))
    loaded = replace(known, as_of=str(cold.tail), loaded=(turn_line(old.id, "user", "old"),))
    (answer,) = submit(log, loaded)

    assert (cold.status, cold.id, cold.tail) == ("cold", 0, old.id)
    assert answer.status == "ok"
    assert redis.exists(log.key(conversation, f"turns:{conversation}")) == 0


def test_turns_of_a_forgotten_conversation_that_nothing_is_newer_than_are_remembered(
    log: Log, redis: Redis
) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    log.trim({ids.partition_of(conversation): old.id}, [conversation], {})
    redis.delete(
        log.key(conversation, f"turns:{conversation}"),
        log.key(conversation, f"conv:{conversation}"),
    )
    known = replace(turn(conversation, "x"), state="live")

    (cold,) = submit(log, known)
    line = turn_line(old.id, "user", "old")
    (answer,) = submit(log, replace(known, as_of=str(cold.tail), loaded=(line,)))
    (next_one,) = submit(log, turn(conversation, "y"))

    assert next_one.recent == (line, turn_line(answer.id, "user", "x"))


def test_a_turn_can_go_on_without_its_earlier_turns(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    redis.delete(log.key(conversation, f"turns:{conversation}"))

    (answer,) = submit(log, replace(turn(conversation, "x"), as_of="skip"))

    assert (answer.status, answer.warm, answer.leased) == ("ok", False, True)
    assert redis.exists(log.key(conversation, f"turns:{conversation}")) == 0


def test_one_request_of_a_turn_holds_the_lease(log: Log) -> None:
    conversation = open_conversation(log)

    first, second = submit(
        log,
        turn(conversation, "hi", key="k", lease="a"),
        turn(conversation, "hi", key="k", lease="b"),
    )

    assert (first.status, first.leased) == ("ok", True)
    assert (second.status, second.leased, second.reply_id) == ("replay", False, None)


def test_a_turn_has_one_answer_and_a_retry_is_told_its_id(log: Log) -> None:
    conversation = open_conversation(log)
    (asked,) = submit(log, turn(conversation, "hi", key="k"))

    first, second = submit(
        log, reply(conversation, asked.id, "one"), reply(conversation, asked.id, "two")
    )
    (retried,) = submit(log, turn(conversation, "hi", key="k"))

    assert (first.status, second.status, second.id) == ("ok", "replay", first.id)
    assert (retried.status, retried.reply_id, retried.leased) == ("replay", first.id, False)


def test_an_accepted_entry_is_found_by_its_user_alone(log: Log, ask: Ask) -> None:
    conversation = open_conversation(log)
    (answer,) = submit(log, message(conversation, "hi"))

    found = ask(lambda log: log.find(1, conversation, answer.id))
    by_another = ask(lambda log: log.find(2, conversation, answer.id))
    another = ask(lambda log: log.find(1, conversation, answer.id + 16))

    assert found.data == b"hi"
    assert by_another is another is None


def test_a_log_of_another_database_accepts_nothing(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    before = log.status().entries
    redis.set(log.key(0, "database"), "another")

    reply = log.accept(
        LIMITS, NEVER_LATE, [AcceptRequest("open", 1, "open"), message(conversation, "hi")]
    )

    assert [result.status for result in reply.results] == ["wrong_database", "wrong_database"]
    assert not reply.is_open
    redis.set(log.key(0, "database"), DATABASE)
    assert log.status().entries == before


def test_a_caller_that_does_not_know_its_database_is_accepted_nothing(log: Log) -> None:
    log.database_id = ""

    reply = log.accept(LIMITS, NEVER_LATE, [AcceptRequest("open", 1, "open")])

    assert [result.status for result in reply.results] == ["wrong_database"]


def test_a_log_that_belongs_to_no_database_is_closed(log: Log, redis: Redis) -> None:
    redis.delete(log.key(0, "database"))

    reply = log.accept(LIMITS, NEVER_LATE, [AcceptRequest("open", 1, "open")])

    assert ([result.status for result in reply.results], reply.is_open) == (["log_closed"], False)
