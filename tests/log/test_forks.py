"""What the script compares before a conversation is copied, and where the copy goes."""

from dataclasses import replace

import pytest
from redis import Redis

from api.core import changes
from api.core.accept_requests import AcceptRequest
from api.core.log import Log
from tests.log.conftest import Ask
from tests.support.log_requests import edit, message, open_conversation, submit, turn


def fork(source: int, rewritten_id: int | None = None, owner: int = 1) -> AcceptRequest:
    """Copy the first message; with `rewritten_id`: PostgreSQL has said that there is one."""
    return AcceptRequest(
        *("fork", owner, "open", source),
        data=changes.encode({"source": source, "position": 1, "title": ""}),
        form="j",
        count=2,
        rewritten_id=rewritten_id,
        instructions=None if rewritten_id is None else "as PostgreSQL says",
    )


def test_a_copy_stands_in_one_order_with_what_is_written_to_its_source(log: Log) -> None:
    source = open_conversation(log, home=5)
    (before,) = submit(log, message(source, "before"))

    (asked,) = submit(log, fork(source))
    (done,) = submit(log, fork(source, rewritten_id=0))
    (after,) = submit(log, message(source, "after"))

    # PostgreSQL is asked once it has all that was accepted before.
    assert (asked.status, asked.id, asked.tail) == ("look", 0, before.id)
    assert done.status == "ok"
    entries = log.read([5], 10, 10**6)[5]
    assert [(one.id, one.op) for one in entries[1:]] == [
        (before.id, "add"), (done.id, "fork"), (after.id, "add"),
    ]  # fmt: skip
    assert entries[2].conversation_id == done.id - 16


def test_a_copy_that_waits_is_not_absent(
    log: Log, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_conversation(log)
    (done,) = submit(log, fork(source, rewritten_id=0))
    copy = done.id - 16
    # Each is older than this.
    monkeypatch.setattr("api.writes.async_log.SETTLED_SECONDS", -1.0)
    log.trim({0: source}, [], {})

    waiting = ask(lambda known: known.absent((source, copy, done.id)))
    log.trim({0: done.id}, [], {})
    gone = ask(lambda known: known.absent((source, copy, done.id)))

    assert [waiting, gone] == [{source}, {source, copy, done.id}]


def test_postgresql_is_asked_again_where_messages_were_rewritten_since(log: Log) -> None:
    source = open_conversation(log)
    (added,) = submit(log, message(source, "a"))
    cut = AcceptRequest(
        *("truncate", 1, "edit", source),
        data=changes.encode({"message": added.id, "keep": True}),
        form="j",
        rewritten_id=0,
    )
    (rewritten,) = submit(log, cut)

    (stale,) = submit(log, fork(source, rewritten_id=0))
    (done,) = submit(log, fork(source, rewritten_id=rewritten.id))

    assert (stale.status, stale.id) == ("look", rewritten.id)
    assert done.status == "ok"


def test_of_a_source_that_was_forgotten_all_that_is_in_the_log_may_be_copied(
    log: Log, redis: Redis
) -> None:
    source, other = open_conversation(log), open_conversation(log)
    submit(log, message(source, "a"))
    (newest,) = submit(log, message(other, "b"))
    redis.delete(log.key(0, f"conv:{source}"))

    (asked,) = submit(log, fork(source))

    assert (asked.status, asked.tail) == ("look", newest.id)


def test_what_is_gone_or_another_ones_is_not_copied(log: Log) -> None:
    source = open_conversation(log)
    submit(log, message(source, "a"))

    (foreign,) = submit(log, fork(source, rewritten_id=0, owner=2))
    submit(log, edit("delete", source))
    (deleted,) = submit(log, fork(source, rewritten_id=0))

    assert (foreign.status, deleted.status) == ("foreign", "deleted")


def test_a_copys_assistant_is_told_what_its_sources_is(log: Log, redis: Redis) -> None:
    opening = AcceptRequest("open", 1, "open", data=b"{}", form="j", instructions="Be brief.")
    (opened,) = submit(log, opening)
    (known,) = submit(log, fork(opened.id, rewritten_id=0))
    redis.delete(log.key(opened.id, f"conv:{opened.id}"))
    (forgotten,) = submit(log, fork(opened.id, rewritten_id=0))

    answers = submit(
        log, *(replace(turn(one.id - 16, "Hi"), as_of="skip") for one in (known, forgotten))
    )

    assert [one.instructions for one in answers] == ["Be brief.", "as PostgreSQL says"]
