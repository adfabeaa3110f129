"""What one user may take of the log: rate, bytes, backlog, conversations."""

from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from fakeredis import FakeRedis
from redis import Redis

from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptResult
from api.core.log import Log
from tests.support.api import StartApi
from tests.support.log_requests import message, open_conversation, open_everywhere

FREE = Limits(
    log_max_entries=1_000, log_max_bytes=10**9, log_max_age_seconds=10**12, idempotency_seconds=60
)
NEVER_LATE = 10**13


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def log(request: pytest.FixtureRequest, namespace: str) -> Log:
    redis: Redis = (
        FakeRedis() if request.param == "fake" else request.getfixturevalue("redis_client")
    )
    made = Log(redis, namespace)
    open_everywhere(made)
    return made


def submit(log: Log, limits: Limits, *requests: AcceptRequest) -> list[AcceptResult]:
    return log.accept(limits, NEVER_LATE, requests).results


def statuses(answers: list[AcceptResult]) -> list[str]:
    return [answer.status for answer in answers]


@pytest.mark.parametrize(
    "limits",
    [replace(FREE, user_writes_per_minute=3), replace(FREE, user_bytes_per_minute=3)],
    ids=["entries", "bytes"],
)
def test_a_user_has_so_much_a_minute_whether_in_one_call_or_in_many(
    log: Log, limits: Limits
) -> None:
    mine, other = open_conversation(log), open_conversation(log, owner=2)
    sent = [message(mine, "x") for _ in range(4)]

    together = submit(log, limits, *sent[:2])
    apart = [submit(log, limits, one)[0] for one in sent[2:]]
    neighbour = submit(log, limits, message(other, "x", owner=2))

    assert statuses(together + apart) == ["ok", "ok", "ok", "quota"]
    assert 1 <= apart[-1].id <= 60
    assert statuses(neighbour) == ["ok"]


def test_a_new_minute_is_a_new_quota(log: Log) -> None:
    mine = open_conversation(log)
    limits = replace(FREE, user_writes_per_minute=1)
    submit(log, limits, message(mine, "x"))
    assert statuses(submit(log, limits, message(mine, "x"))) == ["quota"]

    spent = log.key(0, "spent:1")
    minute, *rest = cast("bytes", log.redis.get(spent)).decode().split()
    log.redis.set(spent, " ".join([str(int(minute) - 1), *rest]))

    assert statuses(submit(log, limits, message(mine, "x"))) == ["ok"]


def test_keys_are_counted_by_the_hour_and_other_writes_are_not(log: Log) -> None:
    mine = open_conversation(log)
    limits = replace(FREE, user_keys_per_hour=2)

    answers = submit(log, limits, *(message(mine, f"{n}", key=f"k{n}") for n in range(3)))
    unkeyed, again = submit(log, limits, message(mine, "x"), message(mine, "0", key="k0"))

    assert statuses(answers) == ["ok", "ok", "quota"]
    assert 1 <= answers[-1].id <= 3_600
    assert statuses([unkeyed, again]) == ["ok", "replay"]


def test_a_retry_of_what_was_accepted_costs_nothing(log: Log) -> None:
    mine = open_conversation(log)
    limits = replace(FREE, user_writes_per_minute=1)

    answers = [submit(log, limits, message(mine, "x", key="k"))[0] for _ in range(3)]

    assert statuses(answers) == ["ok", "replay", "replay"]


def test_answers_and_deletions_are_never_refused(log: Log) -> None:
    mine = open_conversation(log)
    limits = replace(
        FREE, user_writes_per_minute=1, user_bytes_per_minute=1, user_backlog_entries=1
    )
    submit(log, limits, message(mine, "x"))

    reply = AcceptRequest("add", 1, "reply", mine, "assistant", data=b"an answer", key="7")
    answers = submit(log, limits, reply, AcceptRequest("delete", 1, "edit", mine))

    assert statuses(answers) == ["ok", "ok"]


def test_a_users_backlog_is_bounded_until_it_is_drained(log: Log) -> None:
    limits = replace(FREE, user_backlog_entries=2)
    opened = submit(log, limits, AcceptRequest("open", 1, "open"))[0].id
    first, second = (submit(log, limits, message(opened, "x"))[0] for _ in range(2))

    assert statuses([first, second]) == ["ok", "quota"]
    log.trim({opened % 16: first.id}, [opened], {}, {(opened % 16, 1): (2, 1)})
    assert statuses(submit(log, limits, message(opened, "x"))) == ["ok"]


def test_the_bytes_of_a_users_backlog_are_bounded_until_they_are_drained(log: Log) -> None:
    limits = replace(FREE, user_backlog_bytes=10)
    mine, other = open_conversation(log), open_conversation(log, owner=2)

    first, second, third, neighbour = submit(
        log,
        limits,
        *(message(mine, "x" * 9), message(mine, "x"), message(mine, "x")),
        message(other, "x", owner=2),
    )
    log.trim({0: first.id}, [mine], {}, {(0, 1): (1, 9)})
    drained, again = submit(log, limits, message(mine, "x" * 9), message(mine, "x"))

    assert statuses([first, second, third, neighbour]) == ["ok", "ok", "quota", "ok"]
    assert statuses([drained, again]) == ["ok", "quota"]


def test_an_empty_log_holds_nothing_of_anybody_whatever_was_counted(log: Log) -> None:
    log.redis.hset(log.key(0, "held"), "1:all", 99 * 2**36)

    assert log.finish()

    assert not log.redis.exists(log.key(0, "held"))


def test_conversations_are_bounded_by_the_day(log: Log) -> None:
    limits = replace(FREE, user_conversations_per_day=2)

    answers = submit(log, limits, *[AcceptRequest("open", 1, "open") for _ in range(3)])

    assert statuses(answers) == ["ok", "ok", "quota"]
    assert 1 <= answers[-1].id <= 86_400


def test_over_http_a_quota_is_a_429_that_says_when_to_come_back(start_api: StartApi) -> None:
    strict: dict[str, Any] = {"user_writes_per_minute": 2}
    with closing(start_api(**strict).person()) as ada:
        answers = [ada.post("/api/conversations/", json={}) for _ in range(3)]

    refused: httpx.Response = answers[-1]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["title"] == "Too many requests"
