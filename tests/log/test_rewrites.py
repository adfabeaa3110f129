"""What the script compares before messages are changed, and what it forgets then."""

from dataclasses import replace

import pytest
from redis import Redis

from api.core import changes
from api.core.accept_requests import AcceptRequest, Whereabouts, located
from api.core.batches import Draft
from api.core.entries import Op
from api.core.log import Log
from tests.log.test_batches import A, batch
from tests.support.log_requests import LIMITS, message, open_conversation, submit, turn


def rewrite(
    op: Op, conversation: int, target: int, rewritten_id: int | None = None, key: str = ""
) -> AcceptRequest:
    change = {"branch": target} if op == "switch" else {"message": target}
    if op == "truncate":
        change |= {"keep": True}
    data = changes.encode(change)
    return AcceptRequest(
        *(op, 1, "edit", conversation), data=data, form="j", key=key, rewritten_id=rewritten_id
    )


def test_what_is_to_be_rewritten_is_asked_for_once(log: Log) -> None:
    conversation = open_conversation(log)
    (added,) = submit(log, message(conversation, "a"))

    (asked,) = submit(log, rewrite("remove", conversation, added.id))
    (done,) = submit(log, rewrite("remove", conversation, added.id, rewritten_id=0))

    assert (asked.status, asked.id, asked.tail) == ("look", 0, added.id)
    assert done.status == "ok"
    assert log.read([0], 10, 10**6)[0][-1].change == {"message": added.id}


def test_what_was_rewritten_meanwhile_is_asked_for_again(log: Log) -> None:
    conversation = open_conversation(log)
    (added,) = submit(log, message(conversation, "a"))
    (first,) = submit(log, rewrite("remove", conversation, added.id, rewritten_id=0))

    (stale,) = submit(log, rewrite("put", conversation, added.id, rewritten_id=0))
    (done,) = submit(log, rewrite("put", conversation, added.id, rewritten_id=first.id))

    assert (stale.status, stale.id) == ("look", first.id)
    assert done.status == "ok"


def test_of_a_conversation_that_was_forgotten_all_that_is_in_the_log_may_have_rewritten_it(
    log: Log, redis: Redis
) -> None:
    conversation, other = open_conversation(log), open_conversation(log)
    (added,) = submit(log, message(conversation, "a"))
    submit(log, rewrite("truncate", conversation, added.id, rewritten_id=0))
    (newest,) = submit(log, message(other, "b"))
    request = replace(rewrite("put", conversation, added.id), state="live")

    redis.delete(log.key(0, f"conv:{conversation}"))
    (fresh,) = submit(log, request)
    # What is written first makes it known again, but not what was forgotten.
    (known,) = submit(log, replace(message(conversation, "c"), state="live"))
    (asked,) = submit(log, request)
    (done,) = submit(log, replace(request, rewritten_id=asked.id))

    assert (fresh.status, fresh.id) == ("look", newest.id)
    assert (asked.status, asked.id) == ("look", known.id)
    assert done.status == "ok"


def test_a_repeated_rewrite_is_known_before_anything_is_asked(log: Log) -> None:
    conversation = open_conversation(log)
    (added,) = submit(log, message(conversation, "a"))
    request = rewrite("truncate", conversation, added.id, rewritten_id=0, key="k")
    (done,) = submit(log, request)

    (again,) = submit(log, replace(request, rewritten_id=None))

    assert (again.status, again.id) == ("replay", done.id)


@pytest.mark.parametrize("op", ["truncate", "remove", "put", "switch"])
def test_recent_turns_and_external_ids_from_before_a_rewrite_are_not_trusted(
    log: Log, op: Op
) -> None:
    conversation = open_conversation(log)
    (added,) = submit(log, batch(conversation, A))
    (rewritten,) = submit(log, rewrite(op, conversation, added.id, rewritten_id=0))

    (again,) = submit(log, batch(conversation, A))
    (answer,) = submit(log, turn(conversation, "next"))

    assert (again.status, again.id, again.tail) == ("look", rewritten.id, rewritten.id)
    assert answer.status == "cold"


@pytest.mark.parametrize(
    ("where", "same", "other"),
    [
        (Whereabouts.NOWHERE, "ok", "ok"),
        (Whereabouts.SHOWN, "replay", "taken"),
        (Whereabouts.ASIDE, "replay", "ok"),
    ],
)
def test_an_external_id_from_before_a_rewrite_is_whose_postgresql_says(
    log: Log, where: Whereabouts, same: str, other: str
) -> None:
    conversations = open_conversation(log), open_conversation(log)
    answers = []
    for conversation, content in zip(conversations, ("a", "other"), strict=True):
        (added,) = submit(log, batch(conversation, A))
        submit(log, rewrite("put", conversation, added.id, rewritten_id=0))
        (rewritten,) = submit(log, rewrite("put", conversation, added.id, rewritten_id=added.id))
        assert rewritten.status == "look"
        request = batch(conversation, A._replace(content=content))
        told = replace(request, externals=located(request.externals, {0: where}))
        stale, answer = submit(
            log,
            replace(told, rewritten_id=rewritten.id - 16),
            replace(told, rewritten_id=rewritten.id),
        )
        assert stale.status == "look"
        answers.append((answer.status, answer.id == added.id))

    assert answers == [(same, same == "replay"), (other, False)]


def test_a_batch_of_which_a_part_is_there_is_repeated_as_what_it_was(log: Log) -> None:
    conversation = open_conversation(log)
    first, second = Draft("user", "a", "a"), Draft("user", "b", "b")
    (together,) = submit(log, batch(conversation, first, second))
    (cut,) = submit(log, rewrite("truncate", conversation, together.id, rewritten_id=0))

    answers = []
    for where in ({1: Whereabouts.ASIDE}, {}):
        request = batch(conversation, first, second)
        told = replace(request, externals=located(request.externals, where), rewritten_id=cut.id)
        answers += submit(log, told)

    assert [answer.status for answer in answers] == ["replay", "ok"]
    assert answers[0].id == together.id


def test_a_write_for_what_was_seen_is_refused_after_anything_else(log: Log) -> None:
    conversation = open_conversation(log)

    empty, other, followed = submit(
        log,
        replace(message(conversation, "a"), if_last=0),
        replace(message(conversation, "b"), if_last=0),
        message(conversation, "c"),
    )
    (batched,) = submit(
        log,
        replace(batch(conversation, Draft("user", "d"), Draft("user", "e")), if_last=followed.id),
    )
    first_of_it, last_of_it = submit(
        log,
        replace(message(conversation, "f"), if_last=batched.id - 16),
        replace(message(conversation, "g"), if_last=batched.id),
    )

    assert [a.status for a in (empty, other, batched)] == ["ok", "appended", "ok"]
    assert [a.status for a in (first_of_it, last_of_it)] == ["appended", "ok"]


def test_after_a_cut_the_message_before_it_is_the_last_one(log: Log) -> None:
    conversation = open_conversation(log)
    first, second = submit(log, message(conversation, "a"), message(conversation, "b"))
    cut = rewrite("truncate", conversation, second.id, rewritten_id=0)
    submit(log, replace(cut, last_after=first.id))

    gone, there = submit(
        log,
        replace(message(conversation, "c"), if_last=second.id),
        replace(message(conversation, "d"), if_last=first.id),
    )

    assert (gone.status, there.status) == ("appended", "ok")


def test_postgresql_says_which_message_is_last_where_the_log_has_forgotten_it(log: Log) -> None:
    forgotten, foreign = 4096, 4112
    request = replace(message(forgotten, "a"), if_last=4000, state="live")
    (asked,) = submit(log, request)
    (other,) = submit(log, message(foreign, "b", owner=2)) and submit(
        log, replace(message(foreign, "b", owner=2), state="live")
    )

    (wrong,) = submit(log, replace(request, last_message=3984, last_as_of=asked.tail))
    (right,) = submit(log, replace(request, last_message=4000, last_as_of=asked.tail))
    (late,) = submit(log, replace(request, last_message=4000, last_as_of=asked.tail))

    assert (asked.status, other.status) == ("ask_last", "ok")
    assert [a.status for a in (wrong, right, late)] == ["appended", "ok", "appended"]


def test_a_rewrite_counts_as_a_write(log: Log) -> None:
    conversation = open_conversation(log)
    few = replace(LIMITS, user_writes_per_minute=2)
    (added,) = submit(log, message(conversation, "a"), limits=few)

    (refused,) = submit(
        log,
        rewrite("remove", conversation, added.id, rewritten_id=0),
        limits=replace(few, user_writes_per_minute=1),
    )

    assert refused.status == "quota"
