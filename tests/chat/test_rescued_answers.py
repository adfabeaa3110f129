"""Answers of which Redis does not tell, or take, enough for a while: what was shown is stored."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from api.chat import running_turns
from api.chat.running_turns import RunningTurns
from api.chat.streaming import runner
from api.core.errors import Unavailable
from api.core.turns import Said
from api.writes.accept import Accept
from tests.chat.events import say, text_of
from tests.chat.test_answers_with_parts import left_behind
from tests.support.api import Api, StartApi
from tests.support.log_requests import said_in


@pytest.fixture(scope="module")
def slow_api(start_api: StartApi) -> Api:
    return start_api(demo_word_ms=1)


@pytest.fixture
def ada(slow_api: Api) -> Iterator[httpx.Client]:
    with closing(slow_api.person()) as client:
        yield client


def test_words_that_redis_does_not_tell_at_once_are_waited_for(
    ada: httpx.Client, slow_api: Api, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = left_behind(slow_api, ada, session, key="one")
    assert slow_api.log.run("lease", name.id, "dead", name.member, 0) == 1
    refusals, said = iter([Unavailable("the log does not answer")]), RunningTurns.said

    async def said_later(turns: RunningTurns, turn_id: int) -> list[Said]:
        for refusal in refusals:
            raise refusal
        return await said(turns, turn_id)

    monkeypatch.setattr(RunningTurns, "said", said_later)

    seen = say(ada, session, "Go", **{"Idempotency-Key": "one"})

    assert seen[-1]["event"] == "end"
    assert said_in(slow_api.log, session) == [("interrupted", "Once")]


def test_what_redis_does_not_take_for_long_is_stored_by_the_rescue(
    ada: httpx.Client, slow_api: Api, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "STORE_TIMEOUT_SECONDS", -1)
    monkeypatch.setattr(running_turns, "GRACE_MS", 0)
    refusals, reply = iter([Unavailable("the log is full")]), Accept.reply

    async def reply_later(accept: Accept, *arguments: Any) -> Any:
        for refusal in refusals:
            raise refusal
        return await reply(accept, *arguments)

    monkeypatch.setattr(Accept, "reply", reply_later)

    seen = say(ada, session, "Hello there")

    assert seen[-1]["event"] == "end"
    assert said_in(slow_api.log, session) == [("interrupted", text_of(seen))]
