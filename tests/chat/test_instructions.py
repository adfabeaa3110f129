"""What a conversation's metadata tell its assistant is the system's message to the model."""

from typing import Any

import httpx
import pytest

from api.core.ids import partition_of
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.log_contents import accepted
from tests.support.model_server import ModelServer, failing
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def api(start_api: StartApi, running: ModelServer) -> Api:
    return start_api(assistant="openai", openai_base_url=running.url)


def opened(person: httpx.Client, **metadata: Any) -> str:
    answer = person.post("/api/conversations/", json={"metadata": metadata})
    assert answer.status_code == 202
    return f"/api/conversations/{answer.json()['id']}"


def say(person: httpx.Client, path: str, text: str, key: str = "") -> httpx.Response:
    session = f"sess_{int(path.rpartition('/')[2]):x}"
    headers = {"Idempotency-Key": key} if key else {}
    return person.post(f"/api/chat/{session}/message", json={"message": text}, headers=headers)


def test_the_model_is_told_the_latest_instructions_first(
    ada: httpx.Client, model: ModelServer
) -> None:
    path = opened(ada, instructions="Be brief.", source="app")

    say(ada, path, "one")
    ada.patch(path, json={"archived": True})
    say(ada, path, "two")
    ada.patch(path, json={"metadata": {"instructions": "Be kind."}})
    say(ada, path, "three")
    ada.patch(path, json={"metadata": None})
    say(ada, path, "four")

    sent = [request["messages"] for request in model.requests]
    assert [messages[0] for messages in sent[:3]] == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
    ]
    assert [message["role"] for message in sent[2]] == [
        "system",
        *["user", "assistant"] * 2,
        "user",
    ]
    assert sent[3][0] == {"role": "user", "content": "one"}


def test_a_first_turn_gives_a_title_all_the_same(
    api: Api, ada: httpx.Client, model: ModelServer
) -> None:
    path = opened(ada, instructions="Be brief.")
    conversation = int(path.rpartition("/")[2])

    say(ada, path, "Buy milk")

    eventually(lambda: any(entry.op == "title" for entry in accepted(api, conversation)))


def test_a_turn_that_is_asked_for_again_is_told_them_too(
    ada: httpx.Client, model: ModelServer
) -> None:
    path = opened(ada, instructions="Be brief.")
    model.script.append(failing(400))

    failed = say(ada, path, "one", key="a")
    answered = say(ada, path, "one", key="a")

    assert (failed.status_code, answered.status_code) == (502, 200)
    assert model.requests[0]["messages"] == model.requests[1]["messages"]
    assert model.requests[1]["messages"][0]["role"] == "system"


def test_what_the_log_has_forgotten_comes_from_postgresql(
    api: Api, ada: httpx.Client, model: ModelServer
) -> None:
    path = opened(ada, instructions="Be brief.")
    conversation = int(path.rpartition("/")[2])
    say(ada, path, "one")
    with draining(api.settings):
        read = {"read_after": say(ada, path, "two").json()["replyId"]}
        assert ada.get(f"{path}/messages", params=read).json()["total"] == 4

        def forgotten() -> bool:
            """As after a week, or where memory is short."""
            at = partition_of(conversation)
            return bool(api.log.run("evict", at, "conv", conversation, at=(at,)))

        eventually(forgotten)
        say(ada, path, "three")

    assert model.requests[-1]["messages"][0] == {"role": "system", "content": "Be brief."}
