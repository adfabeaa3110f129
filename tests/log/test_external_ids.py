"""What the log knows of external ids, on every Redis."""

from dataclasses import replace

import pytest
from redis import Redis

from api.core import conversation_fields, ids
from api.core.accept_requests import AcceptRequest
from api.core.log import Log
from api.writes.async_log import AsyncLog
from tests.log.conftest import Ask
from tests.support.log_requests import edit, message, submit

WEEK = 7 * 24 * 3600


def opening(
    external_id: str, owner: int = 1, vacant: int | None = 0, title: str = ""
) -> AcceptRequest:
    """Ask for a conversation with an external id; PostgreSQL said already that none has it."""
    return AcceptRequest(
        *("open", owner, "open"),
        data=conversation_fields.encode({"external_id": external_id, "title": title}),
        form="j",
        home=ids.partition_of(owner),
        external=conversation_fields.digest(external_id),
        vacant=vacant,
    )


def named(log: Log, external_id: str, owner: int = 1) -> int:
    digest = conversation_fields.digest(external_id)
    return int(log.run("named", owner, digest, at=(ids.partition_of(owner),)) or 0)


def key(log: Log, external_id: str, owner: int = 1) -> str:
    return log.key(owner, conversation_fields.external_key(owner, external_id))


def test_of_two_who_ask_for_an_external_id_at_once_one_opens_it(log: Log) -> None:
    first, second, other = submit(log, opening("a"), opening("a", title="x"), opening("b"))

    assert (first.status, second.status, other.status) == ("ok", "exists", "ok")
    assert second.id == first.id != other.id
    assert named(log, "a") == first.id


def test_an_unknown_external_id_is_for_postgresql_to_say(log: Log) -> None:
    (asked,) = submit(log, opening("a", vacant=None))
    nobody = named(log, "a"), log.status().entries
    (opened,) = submit(log, opening("a"))
    (again,) = submit(log, opening("a", vacant=None))

    assert asked.status == "unnamed"
    assert nobody == (0, 0)
    assert (opened.status, again.status, again.id) == ("ok", "exists", opened.id)


@pytest.mark.parametrize("other", [2, 17, 2**63 - 16])
def test_an_external_id_is_its_users_own(log: Log, other: int) -> None:
    mine, theirs = submit(log, opening("a")) + submit(log, opening("a", owner=other))

    assert (mine.status, theirs.status) == ("ok", "ok")
    assert (named(log, "a"), named(log, "a", other)) == (mine.id, theirs.id)


def test_deleting_frees_the_external_id_at_once(log: Log) -> None:
    (first,) = submit(log, opening("a"))
    deleted, second, third = submit(
        log, edit("delete", first.id), opening("a", vacant=None), opening("a", vacant=None)
    )

    assert (deleted.status, second.status, third.status) == ("ok", "ok", "exists")
    assert named(log, "a") == second.id == third.id != first.id
    # Deleted again, it takes nothing from the one that has the id now.
    submit(log, edit("delete", first.id))
    assert named(log, "a") == second.id


def test_what_was_deleted_is_known_as_such(log: Log) -> None:
    (opened,) = submit(log, opening("a"))
    submit(log, edit("delete", opened.id))

    assert named(log, "a") == -opened.id


def test_deleting_what_the_log_forgot_frees_the_external_id_that_postgresql_says(
    log: Log, redis: Redis
) -> None:
    (opened,) = submit(log, opening("a"))
    redis.delete(key(log, "a"), log.key(opened.id, f"conv:{opened.id}"))
    state = replace(
        edit("delete", opened.id), state="live", external=conversation_fields.digest("a")
    )

    (unknown,) = submit(log, edit("delete", opened.id))
    (deleted,) = submit(log, state)
    (second,) = submit(log, opening("a", vacant=None))

    assert (unknown.status, deleted.status, second.status) == ("unknown", "ok", "ok")


def test_an_external_id_is_kept_while_anything_of_its_conversation_is_in_the_log(
    log: Log, redis: Redis
) -> None:
    (opened,) = submit(log, opening("a"))
    (added,) = submit(log, message(opened.id, "x"))
    log.trim({1: opened.id}, [opened.id], {})
    half = redis.ttl(key(log, "a"))
    log.trim({1: added.id}, [opened.id], {})
    whole = redis.ttl(key(log, "a"))
    (deleted,) = submit(log, edit("delete", opened.id))
    freed = redis.ttl(key(log, "a"))
    (second,) = submit(log, opening("a", vacant=None))
    log.trim({1: deleted.id}, [opened.id], {})
    reopened = redis.ttl(key(log, "a"))
    log.trim({1: second.id}, [second.id], {})

    assert half == freed == reopened == -1
    assert WEEK - 60 < whole <= WEEK
    assert WEEK - 60 < redis.ttl(key(log, "a")) <= WEEK


def test_a_restored_log_that_knows_a_lost_conversation_is_told_so(log: Log) -> None:
    (lost,) = submit(log, opening("a"))

    (again,) = submit(log, opening("a", vacant=None))
    (second,) = submit(log, opening("a", vacant=again.id))

    assert (again.status, again.id) == ("exists", lost.id)
    assert second.status == "ok"
    assert named(log, "a") == second.id


def test_no_external_id_of_a_deleted_account_is_left(log: Log, redis: Redis) -> None:
    (opened,) = submit(log, opening("a"))
    log.run("gone", 1, 60)

    log.trim({1: opened.id}, [opened.id], {})

    assert not redis.exists(key(log, "a"))


def test_memory_is_made_of_external_ids_that_postgresql_has_had_for_a_minute(
    log: Log, redis: Redis, ask: Ask
) -> None:
    (waits, fresh, old) = submit(log, opening("waits"), opening("fresh"), opening("old"))
    log.trim({1: old.id}, [fresh.id, old.id], {})
    submit(log, message(waits.id, "x"))
    redis.expire(key(log, "old"), WEEK - 61)

    async def evicted(asked: AsyncLog) -> None:
        cursor = await asked.evict(("ext",), 0)
        while cursor:
            cursor = await asked.evict(("ext",), cursor)

    ask(evicted)

    assert redis.exists(key(log, "waits"), key(log, "fresh")) == 2
    assert not redis.exists(key(log, "old"))
