"""Tokens that models tell of answers: summed, shown, and limited by day."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.chat.events import say
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.misbehaving_models import DONE, SAID, event, sends, stops
from tests.support.model_server import Behaviour, ModelServer
from tests.support.waiting import eventually

LIMIT = 100


@pytest.fixture(scope="module")
def api(start_api: StartApi, running: ModelServer) -> Iterator[Api]:
    started = start_api(assistant="openai", openai_base_url=running.url, user_tokens_per_day=LIMIT)
    with draining(started.settings):
        yield started


def takes(tokens_in: int, tokens_out: int) -> Behaviour:
    """Answer, and tell what that took."""
    told = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return sends(SAID, stops(), event({"choices": [], "model": "m", "usage": told}), DONE)


def start(person: httpx.Client) -> tuple[str, int]:
    started = person.post("/api/chat/start").json()
    return started["sessionId"], started["conversationId"]


def ask(person: httpx.Client, session: str, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return person.post(f"/api/chat/{session}/message", json={"message": "hi"}, headers=headers)


def used(person: httpx.Client, **query: Any) -> dict[str, Any]:
    """Read the usage, however long the drain takes on a busy machine."""

    def answered() -> httpx.Response | None:
        answer = person.get("/api/usage", params=query)
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

    answer = eventually(answered)
    assert answer is not None
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def sums(answers: int, tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {"answers": answers, "input_tokens": tokens_in, "output_tokens": tokens_out}


def test_tokens_are_summed_by_day_and_conversation(
    ada: httpx.Client, eve: httpx.Client, model: ModelServer
) -> None:
    (one, first), (other, second) = start(ada), start(ada)
    model.script.extend([takes(3, 4), takes(5, 6), takes(1, 0)])
    ask(ada, one)
    seen = say(ada, one, "and streamed")
    last = ask(ada, other).json()
    # What a client says of its own messages is no model's word.
    fake = {"format": "verbatim/1", "usage": {"input_tokens": 1000}}
    added = {"role": "assistant", "content": "x", "extra": fake}
    ada.post(f"/api/conversations/{second}/messages", json=added).raise_for_status()
    deleted = ada.delete(f"/api/conversations/{second}").json()["entry_id"]
    written = {"read_after": [seen[-1]["data"]["replyId"], last["replyId"], deleted]}

    found = used(ada, **written)

    total = sums(3, 9, 10)
    assert total.items() <= found.items()
    # Around midnight they may be two.
    assert sum(day["input_tokens"] for day in found["days"]) == 9
    assert found["conversations"] == [
        {"conversation_id": first, **sums(2, 8, 10)},
        {"conversation_id": second, **sums(1, 1, 0)},
    ]
    assert sums(2, 8, 10).items() <= used(ada, conversation=first).items()
    assert used(ada, **{"from": "2026-01-01", "to": "2026-01-02"})["days"] == []
    nothing: dict[str, Any] = sums(0, 0, 0) | {"days": [], "conversations": []}
    assert nothing.items() <= used(eve).items()
    assert nothing.items() <= used(eve, conversation=first).items()


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"from": "2024-01-01", "to": "2026-01-01"},
        {"from": "yesterday"},
        {"conversation": "0"},
    ],
)
def test_what_is_no_range_of_days_is_refused(ada: httpx.Client, query: dict[str, str]) -> None:
    assert ada.get("/api/usage", params=query).status_code == 422
    assert ada.get("/api/usage", params={"to": "0001-01-01"}).status_code == 200


def test_a_limit_holds_in_every_process_and_says_when_it_ends(
    api: Api, start_api: StartApi, running: ModelServer, ada: httpx.Client, model: ModelServer
) -> None:
    known = api.settings
    other = start_api(
        assistant="openai",
        openai_base_url=running.url,
        user_tokens_per_day=LIMIT,
        database_url=known.database_url,
        database_direct_url=known.database_direct_url,
        worker_database_url=known.worker_database_url,
        log_namespace=known.log_namespace,
    )
    session, conversation = start(ada)
    model.script.append(takes(LIMIT - 1, 1))
    first = ask(ada, session, key="first")
    asked = len(model.requests)

    with closing(other.client()) as there:
        there.headers["Authorization"] = ada.headers["Authorization"]
        refused = [ask(ada, session, key="second"), ask(there, session)]
        streamed = say(there, session, "streamed")

    for answer in refused:
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 86_400
        assert "it ends in" in answer.json()["detail"]
    assert streamed[-1]["event"] == "error"
    assert streamed[-1]["data"]["status"] == 429
    assert 0 < streamed[-1]["data"]["retryAfter"] <= 86_400
    assert len(model.requests) == asked
    # What was answered before is answered again, and what was said is kept.
    assert ask(ada, session, key="first").json() == first.json()
    limit = used(ada)["limit"]
    assert (limit["tokens_per_day"], limit["tokens_today"]) == (LIMIT, LIMIT)
    after = {"read_after": streamed[0]["data"]["messageId"]}
    kept = eventually(
        lambda: (
            ada.get(f"/api/conversations/{conversation}/messages", params=after)
            .json()
            .get("messages")
        )
    )
    assert [one["role"] for one in kept] == ["user", "assistant", "user", "user", "user"]

    # Another day, as far as Redis knows: the message is answered.
    owner = owner_of(ada)
    api.log.redis.delete(api.log.key(owner, f"tokens:{owner}"))
    assert ask(ada, session, key="second").json()["response"] == "Certainly."


def owner_of(person: httpx.Client) -> int:
    return int(person.get("/auth/me").json()["id"])


def test_tokens_of_processes_at_once_are_all_counted(
    api: Api, ada: httpx.Client, model: ModelServer
) -> None:
    sessions = [start(ada)[0] for _ in range(8)]
    together = threading.Barrier(len(sessions))
    model.script.extend([takes(3, 2)] * len(sessions))

    def one(session: str) -> int:
        together.wait(60)
        return ask(ada, session).status_code

    with ThreadPoolExecutor(len(sessions)) as clients:
        assert set(clients.map(one, sessions)) == {200}

    assert used(ada)["limit"]["tokens_today"] == 40


def test_without_a_limit_nothing_is_counted_in_redis(
    start_api: StartApi, running: ModelServer, model: ModelServer
) -> None:
    free = start_api(assistant="openai", openai_base_url=running.url)
    with closing(free.person()) as person:
        model.script.append(takes(10**6, 1))
        session, _ = start(person)
        assert ask(person, session).status_code == 200
        assert ask(person, session).status_code == 200
        assert used(person)["limit"] is None
        owner = owner_of(person)
    assert not free.log.redis.exists(free.log.key(owner, f"tokens:{owner}"))
