"""Each key of the log carries its partition, and partitions spread evenly over masters."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from api.core import log_keys
from api.core.errors import OldLogError, WrongDatabaseError
from api.core.ids import PARTITIONS
from api.core.log import Log
from tests.support.log_requests import (
    DATABASE,
    LIMITS,
    edit,
    message,
    open_conversation,
    reply,
    streamed_turn,
    submit,
)


@pytest.mark.parametrize("masters", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("namespace", ["verbatim", "a", "my.log-2", "b6707e84"])
def test_partitions_spread_evenly_over_masters(namespace: str, masters: int) -> None:
    # As `redis-cli --cluster create` splits the slots.
    share = REDIS_CLUSTER_HASH_SLOTS / masters
    slots = [key_slot(log_keys.key(namespace, p, "log").encode()) for p in range(PARTITIONS)]

    spread = Counter(min(int((slot + 0.5) / share), masters - 1) for slot in slots)

    assert len(spread) == masters
    assert max(spread.values()) - min(spread.values()) <= 1


def test_every_key_of_a_partition_is_in_one_slot() -> None:
    names = ("log", "tail", "conv:4099", "idem:1:message:4099:{a}")

    slots = {key_slot(log_keys.key("verbatim", 4099, name).encode()) for name in names}

    assert slots == {key_slot(log_keys.prefixes("verbatim")[3].encode())}


def contents(redis: Redis) -> dict[bytes, Any]:
    return {key: redis.dump(key) for key in redis.scan_iter()}


def test_an_operation_touches_the_keys_of_its_partitions_only(log: Log, redis: Redis) -> None:
    before = contents(redis)
    limits = replace(LIMITS, user_writes_per_minute=9, user_backlog_entries=9)
    mine = open_conversation(log, owner=3, home=3)
    [asked, _] = submit(
        log,
        replace(streamed_turn(mine, "hi", owner=3), key="k"),
        message(mine, "hi", owner=3, key="m"),
        limits=limits,
    )
    log.run("say", asked.id, "me", f"3:{mine}:{asked.id}", "delta", 1, "x", at=(3,))
    log.run("stop", 3, mine, "", at=(3,))
    log.run("turn", 3, mine, asked.id, at=(3,))
    log.run("heard", asked.id, "0-0", at=(3,))
    log.run("claim", "other", 0, 1_000, 9, at=(3,))
    log.run("lease", asked.id, "me", f"3:{mine}:{asked.id}", 0, at=(3,))
    submit(log, reply(mine, asked.id, "ho", owner=3), edit("close", mine, owner=3), limits=limits)
    log.read([3], 10, 10**6)
    log.balance(3, 0)
    log.marks([3])
    log.recount([(3, 0, 9)])
    log.run("helper", at=(3,))
    log.run("gone", 9, 60, at=(3,))
    log.run("revoke", 60, 9, "s", at=(3,))
    log.run("revoked", at=(3,))
    trimmed = (1, 0, 1, 3, asked.id, -1, -1, 1, mine, 1, 3, 3, 2, 4, "committed", 1)
    log.run("trim", *trimmed, at=(3,))
    log.take_again([(3, asked.id - 16, 0)])
    log.run("finish", at=(3,))

    after = contents(redis)
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    prefix = log_keys.prefixes("verbatim")[3].encode() + b":"
    assert {key for key in changed if not key.startswith(prefix)} == set()
    assert {key.removeprefix(prefix).partition(b":")[0] for key in changed} >= {
        *(
            b"log",
            b"tail",
            b"accepted",
            b"conv",
            b"turns",
            b"idem",
            b"bell",
            b"spent",
            b"held",
            b"room",
            b"committed",
        ),
        *(b"stream", b"gone", b"revoked", b"helper", b"drain"),
    }


def test_every_key_of_the_log_carries_its_partition(log: Log, redis: Redis) -> None:
    for home in range(PARTITIONS):
        submit(log, message(open_conversation(log, home=home), "hi", key="k"))
    log.hold_bell()
    log.started()
    log.refuse_lost_user(1, 60)
    log.revoke(1, ["s"], 60)

    known = log_keys.prefixes("verbatim")
    assert {key.decode().partition("}:")[0] + "}" for key in contents(redis)} == set(known)


@pytest.fixture
def old_log(redis: Redis) -> None:
    """What a version left whose keys did not carry their partition."""
    redis.set("verbatim:database", DATABASE)
    redis.set("verbatim:tail:3", 4099)
    redis.xadd("verbatim:log:3", {"v": 1}, id="4099-0")
    seconds, _ = redis.time()
    redis.zadd("verbatim:revoked", {"7:gone": 1, "7:ended": (seconds + 600) * 1000})


@pytest.mark.usefixtures("on_one_server", "old_log")
def test_a_log_under_old_names_must_be_empty(closed_log: Log) -> None:
    with pytest.raises(OldLogError, match=r"holds 1 entries .* version 0\.1"):
        closed_log.leave_old_names(DATABASE)


@pytest.mark.usefixtures("on_one_server", "old_log")
def test_an_empty_log_under_old_names_is_left_for_good(closed_log: Log, redis: Redis) -> None:
    redis.delete("verbatim:log:3")

    assert closed_log.leave_old_names(DATABASE)
    assert not closed_log.leave_old_names(DATABASE)

    # What was revoked stays revoked; an old process takes the log for another database's.
    assert closed_log.run("revoked", at=(0,)) == [b"7:ended"]
    assert redis.get("verbatim:database") not in {None, DATABASE.encode()}


@pytest.mark.usefixtures("on_one_server", "old_log")
def test_a_log_of_another_database_under_old_names_is_not_touched(closed_log: Log) -> None:
    with pytest.raises(WrongDatabaseError):
        closed_log.leave_old_names("another")
