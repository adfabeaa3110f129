"""What requests with a key made is remembered for its time, in little memory."""

from dataclasses import replace

import pytest
from redis import Redis

from api.core import ids
from api.core.accept_requests import name_of_reply
from api.core.log import Log
from tests.support.log_requests import (
    LIMITS,
    message,
    open_conversation,
    reply,
    submit,
    turn,
)
from tests.support.waiting import eventually

#: More than the first 16 buckets take, of 100 records each.
RECORDS = 2_000
GROUP = 100
ROOMY = replace(LIMITS, log_max_entries=10**6, log_max_bytes=10**9)


def buckets(redis: Redis) -> list[bytes]:
    return [key for key in redis.scan_iter(count=1_000) if b":idem:" in key]


def fill(log: Log, conversation: int, number: int, *, seconds: int = 3_600) -> list[int]:
    """Accept so many messages with a key each; return their ids."""
    limits = replace(ROOMY, idempotency_seconds=seconds)
    made = []
    for start in range(0, number, GROUP):
        requests = (message(conversation, f"{n}", key=f"k{n}") for n in range(start, start + GROUP))
        made += [answer.id for answer in submit(log, *requests, limits=limits)]
    return made


@pytest.mark.usefixtures("on_real_servers")
def test_keys_are_known_however_many_there_are(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)

    first = fill(log, conversation, RECORDS)
    again = fill(log, conversation, RECORDS)

    assert again == first
    assert log.status().entries == RECORDS + 1
    assert redis.get(log.key(conversation, "idems"))


@pytest.mark.usefixtures("on_real_servers")
def test_a_key_takes_some_thirty_bytes(log: Log, redis: Redis) -> None:
    fill(log, open_conversation(log), RECORDS)

    kept = buckets(redis)
    assert len(kept) < RECORDS / 10
    if "fakeredis" not in type(redis).__module__:
        taken = sum(redis.memory_usage(bucket, samples=0) or 0 for bucket in kept)
        assert taken / RECORDS < 45


@pytest.mark.usefixtures("on_real_servers")
def test_what_is_older_than_its_time_makes_room(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    request = message(conversation, "new", key="new")
    limits = replace(ROOMY, idempotency_seconds=1)

    for _ in range(2):
        fill(log, conversation, 800, seconds=1)
        submit(log, request, limits=limits)
        eventually(lambda: submit(log, request, limits=limits)[0].status == "ok")

    # Half of 1,600, and what nobody has looked after since.
    assert sum(redis.hlen(bucket) for bucket in buckets(redis)) < 1_300
    assert redis.get(log.key(conversation, "idems")) is None


def test_a_turns_answer_is_found_by_its_conversation_alone(log: Log) -> None:
    mine, other = open_conversation(log), open_conversation(log)
    (asked,) = submit(log, turn(mine, "hi", key="k"))
    (answered,) = submit(log, reply(mine, asked.id, "ho"))

    found = [
        log.run("turn", 1, conversation, asked.id, at=(0,))[2] for conversation in (mine, other)
    ]

    assert found == [str(answered.id).encode(), b""]


@pytest.mark.usefixtures("on_real_servers")
def test_answers_are_spread_as_keys_are(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)
    # One turn a millisecond, within few seconds.
    turns = [ids.first_at(ids.EPOCH_MS + 5 * 4096 + n, 0) for n in range(RECORDS)]

    for start in range(0, RECORDS, GROUP):
        group = turns[start : start + GROUP]
        submit(log, *(reply(conversation, asked, "ho") for asked in group), limits=ROOMY)

    assert redis.get(log.key(conversation, "idems"))
    assert max(redis.hlen(bucket) for bucket in buckets(redis)) < 200


def test_script_and_client_name_an_answer_alike(log: Log) -> None:
    conversation = open_conversation(log)
    asked = [submit(log, turn(conversation, "hi", key=f"k{n}"))[0] for n in range(20)]
    for one in asked:
        submit(log, reply(conversation, one.id, "ho"))

    known = [submit(log, turn(conversation, "hi", key=f"k{n}"))[0].reply_id for n in range(20)]

    assert all(known)
    assert len({name_of_reply(one.id) for one in asked}) == 20
