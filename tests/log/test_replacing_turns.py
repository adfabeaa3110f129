"""A turn's message that replaces another one: two entries in one call, on every Redis."""

from dataclasses import replace

from redis import Redis

from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest, turn_line
from api.core.entries import Entry
from api.core.ids import PARTITIONS, partition_of
from api.core.log import Log
from tests.support.log_requests import LIMITS, message, open_conversation, submit, turn


def replacing(conversation: int, old: int, *lines: bytes, key: str = "") -> AcceptRequest:
    """Say something in the place of a message, once PostgreSQL has said where that is."""
    said = turn(conversation, "new", key=key)
    return replace(said, replaces=old, rewritten_id=0, as_of="1", loaded=lines)


def entries(log: Log, conversation: int) -> list[Entry]:
    partition = partition_of(conversation)
    return log.read([partition], 100, 10**6)[partition]


def accepted(log: Log, conversation: int) -> int:
    partition = partition_of(conversation)
    return log.marks([partition]).accepted[partition]


def test_the_old_one_goes_aside_just_before_the_new_one_comes(log: Log) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    first = turn_line(old.id - 16, "user", "first")

    (answer,) = submit(log, replacing(conversation, old.id, first))

    *_, cut, new = entries(log, conversation)
    assert (cut.op, dict(cut.change)) == ("truncate", {"message": old.id, "keep": True})
    assert (new.op, new.id, new.data) == ("add", answer.id, b"new")
    assert cut.id < new.id
    assert accepted(log, conversation) == 4
    # The next turn is given what is left, and the new one.
    (then,) = submit(log, turn(conversation, "then"))
    assert then.recent == (first, turn_line(new.id, "user", "new"))


def test_both_are_read_together(log: Log) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    submit(log, replacing(conversation, old.id), message(conversation, "then"))

    def read(most_entries: int, most_bytes: int) -> list[str]:
        return [entry.op for entry in log.read([0], most_entries, most_bytes)[0]]

    both = ["open", "add", "truncate", "add"]
    assert read(3, 10**6) == both
    assert read(100, len(entries(log, conversation)[2].data) + len("old")) == both
    assert read(2, 10**6) == both[:2]


def test_both_are_read_together_far_from_the_first_entry(log: Log) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    between = [message(conversation, "between")] * 14
    submit(log, *between, replacing(conversation, old.id))
    *_, cut, new = found = entries(log, conversation)
    bytes_with_cut = sum(len(entry.data) for entry in found[:-1])

    def read(most_entries: int, most_bytes: int) -> list[int]:
        return [entry.id for entry in log.read([0], most_entries, most_bytes)[0]]

    assert (len(found), cut.op, new.id) == (18, "truncate", cut.id + PARTITIONS)
    assert read(100, bytes_with_cut) == read(17, 10**6) == [entry.id for entry in found]
    assert read(16, 10**6) == [entry.id for entry in found[:16]]


def test_postgresql_is_asked_first_and_again_where_messages_were_rewritten_since(log: Log) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    request = replacing(conversation, old.id)

    (asked,) = submit(log, replace(request, rewritten_id=None, replaces=0))
    (first,) = submit(log, request)
    (late,) = submit(log, request)

    assert (asked.status, first.status, late.status) == ("look", "ok", "look")
    assert late.id == first.id - 16  # the entry that put the old one aside
    assert accepted(log, conversation) == 4


def test_what_was_said_since_is_not_taken_along_by_an_answer_that_is_made_again(log: Log) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    request = replace(replacing(conversation, old.id), last_message=old.id, last_as_of=old.id)
    (since,) = submit(log, message(conversation, "since"))

    (late,) = submit(log, request)
    (done,) = submit(log, replace(request, last_as_of=late.tail))

    assert (late.status, late.tail) == ("look", since.id)
    assert done.status == "ok"


def test_repeated_with_its_key_it_happens_once(log: Log) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))

    (first,) = submit(log, replacing(conversation, old.id, key="one"))
    (again,) = submit(log, replacing(conversation, old.id, key="one"))

    assert (again.status, again.id) == ("replay", first.id)
    assert accepted(log, conversation) == 4


def test_what_is_refused_leaves_nothing(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    request = replacing(conversation, old.id)
    full: Limits = replace(LIMITS, log_max_entries=2)

    (refused,) = submit(log, request, limits=full)
    redis.hset(log.key(conversation, f"conv:{conversation}"), "closed", "1")
    (closed,) = submit(log, request)

    assert (refused.status, closed.status) == ("full", "conversation_closed")
    assert accepted(log, conversation) == 2


def test_both_entries_count_as_its_users(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    (old,) = submit(log, message(conversation, "old"))
    limits: Limits = replace(LIMITS, user_backlog_entries=10)

    submit(log, replacing(conversation, old.id), limits=limits)

    held = int(redis.hget(log.key(conversation, "held"), "1:all") or 0)
    assert held // 2**36 == 2
