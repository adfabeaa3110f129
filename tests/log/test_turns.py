"""The contract of running turns, on every Redis."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from api.chat.running_turns import GRACE_MS, RunningTurns
from api.core.log import Log
from api.core.turns import Kind, Said, TurnName, said_arguments, text_of
from tests.log.conftest import Ask
from tests.support.log_requests import open_conversation, reply, streamed_turn, submit
from tests.support.log_requests import turn as turn_request


class Turns:
    """`RunningTurns` without an event loop around the test: each call is made in one of its own."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: self._ask(
            lambda log: getattr(RunningTurns(log), name)(*arguments)
        )


@pytest.fixture
def turns(ask: Ask) -> Turns:
    return Turns(ask)


def begin(log: Log, lease: str = "me", owner: int = 1) -> TurnName:
    conversation = open_conversation(log, owner=owner)
    (answer,) = submit(log, streamed_turn(conversation, "hi", owner=owner, lease=lease))
    return TurnName(owner, conversation, answer.id)


def say(log: Log, turn: TurnName, token: str, kind: Kind, length: int, text: str) -> int:
    (answer,) = log.run("say", *said_arguments(turn, token, Said(length, kind, text)))
    return int(answer)


def long_ago(redis: Redis, log: Log, turn: TurnName) -> None:
    """Let the turn's lease have ended before the grace."""
    redis.delete(log.key(turn.id, f"turn:{turn.id}"))
    seconds, _ = redis.time()
    redis.zadd(log.key(0, "running"), {turn.member: seconds * 1000 - GRACE_MS - 1_000})


def test_what_a_turn_says_is_heard_in_order(log: Log, turns: Turns) -> None:
    turn = begin(log)

    say(log, turn, "me", "delta", 3, "Für")
    say(log, turn, "me", "delta", 5, " \U0001f60a")
    heard = turns.said(turn.id)

    assert [(said.kind, said.length, said.text) for said in heard] == [
        ("delta", 3, "Für"),
        ("delta", 5, " \U0001f60a"),
    ]


def test_a_delta_that_is_sent_again_is_not_doubled(log: Log, turns: Turns) -> None:
    turn = begin(log)

    for _ in range(3):
        say(log, turn, "me", "delta", 3, "One")
    say(log, turn, "me", "delta", 7, " two")
    turns.stop(1, turn.conversation_id, None)
    say(log, turn, "me", "delta", 7, " two")

    assert text_of(turns.said(turn.id)) == "One two"


def test_whoever_lost_the_lease_says_nothing_more(log: Log, turns: Turns, redis: Redis) -> None:
    turn = begin(log, lease="paused")
    say(log, turn, "paused", "delta", 3, "One")
    long_ago(redis, log, turn)
    assert turns.claim("rescuer", 10) == [turn]

    taken = [
        say(log, turn, "paused", "delta", 7, " two"),
        say(log, turn, "paused", "end", 7, "{}"),
        say(log, turn, "rescuer", "end", 3, "{}"),
    ]

    assert taken == [0, 0, 1]
    assert text_of(turns.said(turn.id)) == "One"


def test_the_end_of_a_turn_gives_its_lease_up(log: Log, turns: Turns, redis: Redis) -> None:
    turn = begin(log)

    say(log, turn, "me", "end", 0, "{}")

    assert redis.exists(log.key(turn.id, f"turn:{turn.id}")) == 0
    assert turns.running(1, turn.conversation_id) == []
    assert 0 < redis.ttl(log.key(turn.id, f"stream:{turn.id}")) <= 600


def test_what_a_turn_said_does_not_go_before_it_is_stored(
    log: Log, turns: Turns, redis: Redis
) -> None:
    turn = begin(log)
    stream, at = log.key(turn.id, f"stream:{turn.id}"), turn.id & 15

    say(log, turn, "me", "delta", 3, "One")
    turns.stop(1, turn.conversation_id, None)
    long_ago(redis, log, turn)

    assert redis.ttl(stream) == -1
    assert log.run("evict", at, "stream", turn.id, at=(at,)) == 0
    turns.claim("rescuer", 10)
    say(log, turn, "rescuer", "end", 3, "{}")
    assert redis.ttl(stream) > 0
    assert log.run("evict", at, "stream", turn.id, at=(at,)) == 1


def test_what_a_turn_said_that_nobody_runs_any_more_expires(
    log: Log, turns: Turns, redis: Redis
) -> None:
    turn = begin(log)
    say(log, turn, "me", "delta", 3, "One")

    turns.release(turn, "me")

    assert redis.ttl(log.key(turn.id, f"stream:{turn.id}")) > 0


def test_a_turn_that_still_runs_is_not_taken_over(log: Log, turns: Turns, redis: Redis) -> None:
    turn = begin(log)
    seconds, _ = redis.time()

    fresh = turns.claim("rescuer", 10)
    redis.zadd(log.key(0, "running"), {turn.member: seconds * 1000 - GRACE_MS - 1_000})
    leased = turns.claim("rescuer", 10)

    assert fresh == leased == []


def test_a_waiting_retry_has_time_to_take_a_dead_turn_first(
    log: Log, turns: Turns, redis: Redis
) -> None:
    turn = begin(log)
    long_ago(redis, log, turn)
    redis.zincrby(log.key(0, "running"), GRACE_MS // 2, turn.member)

    assert turns.claim("rescuer", 10) == []


def test_a_rescuer_that_dies_too_is_noticed_later_not_at_once(
    log: Log, turns: Turns, redis: Redis
) -> None:
    turn = begin(log)
    long_ago(redis, log, turn)
    turns.claim("rescuer", 10)
    redis.delete(log.key(turn.id, f"turn:{turn.id}"))

    assert turns.claim("another", 10) == []


def test_a_dead_turn_is_taken_over_once(log: Log, turns: Turns, redis: Redis) -> None:
    turn = begin(log)
    long_ago(redis, log, turn)

    assert [turns.claim(name, 10) for name in ("a", "b")] == [[turn], []]


def test_a_renewed_turn_lives_on(log: Log, turns: Turns, redis: Redis) -> None:
    turn = begin(log)
    seconds, _ = redis.time()
    redis.zadd(log.key(0, "running"), {turn.member: seconds * 1000 - GRACE_MS - 1_000})

    assert turns.renew(turn, "me")

    ends_ms = redis.zscore(log.key(0, "running"), turn.member)
    assert ends_ms is not None
    assert float(ends_ms) > seconds * 1000


def test_a_released_turn_is_not_taken_over(log: Log, turns: Turns, redis: Redis) -> None:
    turn = begin(log)

    turns.release(turn, "me")

    assert redis.zcard(log.key(0, "running")) == 0


def test_a_conversation_shows_its_own_running_turns_to_its_owner(log: Log, turns: Turns) -> None:
    mine, other, theirs = begin(log), begin(log), begin(log, owner=2)

    assert turns.running(1, mine.conversation_id) == [mine.id]
    assert turns.running(1, other.conversation_id) == [other.id]
    assert turns.running(1, theirs.conversation_id) == []


def test_stopping_tells_the_running_turn_that_was_meant(log: Log, turns: Turns) -> None:
    turn = begin(log)
    say(log, turn, "me", "delta", 3, "One")

    other = turns.stop(1, turn.conversation_id, turn.id + 16)
    foreign = turns.stop(2, turn.conversation_id, None)
    named = turns.stop(1, turn.conversation_id, turn.id)
    everything = turns.stop(1, turn.conversation_id, None)
    answers = [
        say(log, turn, "me", "delta", 7, " two"),
        say(log, turn, "me", "delta", 13, " three"),
    ]

    assert answers == [2, 1]
    assert (other, foreign, named, everything) == ([], [], [turn.id], [turn.id])
    assert [said.kind for said in turns.said(turn.id)] == [
        *("delta", "stop", "stop", "delta", "delta"),
    ]


def test_the_state_of_a_turn_names_owner_and_answer(log: Log, turns: Turns) -> None:
    turn = begin(log)

    running = turns.state(turn)
    (answered,) = submit(log, reply(turn.conversation_id, turn.id, "Hello"))
    say(log, turn, "me", "end", 0, "{}")
    ended = turns.state(turn)
    unknown = turns.state(TurnName(2, 4096, 1))

    assert (running.owner, running.is_running, running.reply_id) == (1, True, None)
    assert (ended.owner, ended.is_running, ended.reply_id) == (1, False, answered.id)
    assert (unknown.owner, unknown.is_running, unknown.reply_id) == (None, False, None)


def test_a_turn_that_is_not_streamed_is_nobodys_to_take_over(log: Log, redis: Redis) -> None:
    conversation = open_conversation(log)

    submit(log, streamed_turn(conversation, "hi", streamed=False))

    assert redis.zcard(log.key(0, "running")) == 0


def test_a_lease_is_renewed_and_released_by_its_holder_only(
    log: Log, turns: Turns, redis: Redis
) -> None:
    conversation = open_conversation(log)
    (first,) = submit(log, turn_request(conversation, "hi", key="k", lease="a"))
    name = TurnName(1, conversation, first.id)
    redis.pexpire(log.key(first.id, f"turn:{first.id}"), 500)

    assert not turns.renew(name, "b")
    assert not turns.release(name, "b")
    assert turns.renew(name, "a")
    assert redis.pttl(log.key(first.id, f"turn:{first.id}")) > 5_000
    assert turns.release(name, "a")
    (second,) = submit(log, turn_request(conversation, "hi", key="k", lease="b"))
    assert second.leased
