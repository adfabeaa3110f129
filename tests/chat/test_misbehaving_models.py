"""A model's server that misbehaves, streamed and as JSON: no 500, nothing lost that was shown."""

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.chat.events import say, text_of
from tests.support.api import Api, StartApi
from tests.support.log_contents import accepted
from tests.support.misbehaving_models import CASES, DRIPPING, Case
from tests.support.model_server import ModelServer


@pytest.fixture(scope="module")
def api(start_api: StartApi, running: ModelServer) -> Api:
    return start_api(
        assistant="openai",
        openai_base_url=running.url,
        openai_timeout_seconds=3.0,
        openai_answer_seconds=6.0,
    )


@pytest.fixture(scope="module")
def ada(api: Api) -> Iterator[httpx.Client]:
    """One person for all: registering takes far longer than a turn."""
    with closing(api.person()) as client:
        yield client


@pytest.fixture
def session(ada: httpx.Client) -> int:
    return int(ada.post("/api/chat/start").json()["conversationId"])


def answers(api: Api, session: int) -> list[tuple[str, str]]:
    """What the log holds of the assistant: status and text."""
    return [
        (entry.status, message.content.decode())
        for entry in accepted(api, session)
        for message in entry.added
        if message.role == "assistant"
    ]


def test_there_are_at_least_fifty() -> None:
    assert len(CASES) >= 50


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_as_json(api: Api, model: ModelServer, ada: httpx.Client, session: int, case: Case) -> None:
    model.script.extend([case.behaviour] * 100)  # a redirection is followed 20 times

    answer = ada.post(f"/api/chat/sess_{session:x}/message", json={"message": "Hello"})

    body = answer.json()
    if case.text is None:
        assert (answer.status_code, body["status"]) == (case.outcome, case.outcome)
        assert case.detail in body["detail"]
        if case.wait is not None:
            assert int(answer.headers["Retry-After"]) >= case.wait
        assert answers(api, session) == []
    else:
        assert answer.status_code == 200, body
        told = (body["response"], body["status"], body["finish"])
        assert told == (case.text, case.outcome, case.finish)
        assert answers(api, session) == [(case.outcome, case.text)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_streamed(
    api: Api, model: ModelServer, ada: httpx.Client, session: int, case: Case
) -> None:
    model.script.extend([case.behaviour] * 100)  # a redirection is followed 20 times

    seen = say(ada, f"sess_{session:x}", "Hello")

    last, told = seen[-1]["event"], seen[-1]["data"]
    if case.text is None:
        assert (last, told["status"], text_of(seen)) == ("error", case.outcome, "")
        assert case.detail in told["detail"]
        if case.wait is not None:
            assert told["retryAfter"] >= case.wait
        assert answers(api, session) == []
    else:
        assert (last, told["status"], told["finish"]) == ("end", case.outcome, case.finish)
        assert text_of(seen) == told["response"] == case.text
        assert answers(api, session) == [(case.outcome, case.text)]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_an_answer_that_goes_on_is_cut_after_its_longest_time_and_not_before(
    api: Api, model: ModelServer, ada: httpx.Client, session: int, accept: str
) -> None:
    """The first word's limit is 3 s, the whole answer's 6 s."""
    model.script.append(DRIPPING)

    answer = ada.post(
        f"/api/chat/sess_{session:x}/message",
        json={"message": "Hello"},
        headers={"Accept": accept},
    )

    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 5.5 or accept != "application/json"
    [(status, text)] = answers(api, session)
    assert status == "interrupted"
    # A word each 0.1 s: more than 3 s could hold, at whatever pace this machine has.
    assert text.count("Wait… ") > 5
