"""A model is given the files of a message: images as parts, texts within the text."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import httpx
import pytest

from api.chat import file_room
from api.core.ids import partition_of
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.files import PNG
from tests.support.model_server import ModelServer, held
from tests.support.waiting import eventually

IMAGE = {
    "type": "image_url",
    "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"},
}


@pytest.fixture(scope="module")
def api(start_api: StartApi, running: ModelServer) -> Api:
    return start_api(assistant="openai", openai_base_url=running.url)


def uploaded(person: httpx.Client, data: bytes = PNG, name: str = "cat.png") -> dict[str, Any]:
    made = person.post("/api/assets", params={"name": name}, content=data).json()
    return {name: made[name] for name in ("id", "name", "type", "size")}


def say(
    person: httpx.Client, session: str, text: str, *files: dict[str, Any], key: str = ""
) -> httpx.Response:
    body = {"message": text} | ({"attachments": files} if files else {})
    headers = {"Idempotency-Key": key} if key else {}
    return person.post(f"/api/chat/{session}/message", json=body, headers=headers)


def asked(model: ModelServer) -> list[Any]:
    """Return what the model was last sent of the user."""
    messages = model.requests[-1]["messages"]
    return [message["content"] for message in messages if message["role"] == "user"]


def test_a_model_sees_images_and_reads_texts(
    api: Api, ada: httpx.Client, session: str, model: ModelServer
) -> None:
    cat, notes = uploaded(ada), uploaded(ada, "Grüße\n".encode(), "notes.md")

    answer = say(ada, session, "What is it?", cat, notes)

    assert answer.status_code == 200, answer.text
    text = "What is it?\n\n[Beginning of the file notes.md]\nGrüße\n\n[End of the file notes.md]"
    assert asked(model) == [[{"type": "text", "text": text}, IMAGE]]
    conversation = answer.json()["conversationId"]
    with draining(api.settings):
        after = {"read_after": answer.json()["messageId"]}
        read = ada.get(f"/api/conversations/{conversation}/messages", params=after).json()
    assert read["messages"][0]["content"] == "What is it?"
    assert read["messages"][0]["extra"] == {"attachments": [cat, notes]}


def test_a_file_may_come_without_a_word_and_is_seen_in_later_turns(
    api: Api, ada: httpx.Client, session: str, model: ModelServer
) -> None:
    with draining(api.settings):
        first = say(ada, session, "", uploaded(ada))
        say(ada, session, "What is it?")
        warm = asked(model)
        conversation = first.json()["conversationId"]
        at = partition_of(conversation)
        stream = ada.post(
            f"/api/chat/{session}/message",
            json={"message": "And now?"},
            headers={"Accept": "text/event-stream"},
        )
        assert "event: end" in stream.text
        streamed = asked(model)
        # As after a week, or where memory is short: the earlier turns come from PostgreSQL.
        eventually(lambda: bool(api.log.run("evict", at, "conv", conversation, at=(at,))))
        api.log.forget_turns(conversation)
        say(ada, session, "Still there?")
        cold = asked(model)

    assert warm == [[IMAGE], "What is it?"]
    assert streamed == [[IMAGE], "What is it?", "And now?"]
    assert cold == [[IMAGE], "What is it?", "And now?", "Still there?"]


def test_what_is_answered_again_has_its_files(
    api: Api, ada: httpx.Client, session: str, model: ModelServer
) -> None:
    with draining(api.settings):
        cat = uploaded(ada)
        said = say(ada, session, "What is it?", cat).json()
        again = ada.post(f"/api/chat/{session}/regenerate")
        assert again.status_code == 200, again.text
        told = asked(model)
        body: dict[str, Any] = {
            "message": "Who is it?",
            "attachments": [cat],
            "replaces": said["messageId"],
        }
        other = ada.post(f"/api/chat/{session}/message", json=body)
        # The message that was answered again came in its place.
        assert other.status_code == 404
        body["replaces"] = again.json()["messageId"]
        other = ada.post(f"/api/chat/{session}/message", json=body)
        assert other.status_code == 200, other.text
        path = f"/api/conversations/{said['conversationId']}/messages"
        read = ada.get(path, params={"read_after": other.json()["replyId"]}).json()["messages"]

    assert told == [[{"type": "text", "text": "What is it?"}, IMAGE]]
    assert asked(model) == [[{"type": "text", "text": "Who is it?"}, IMAGE]]
    assert [one["content"] for one in read] == ["Who is it?", model.answer]
    assert read[0]["extra"] == {"attachments": [cat]}


def test_a_key_covers_the_files(ada: httpx.Client, session: str, model: ModelServer) -> None:
    cat, dog = uploaded(ada), uploaded(ada, name="dog.png")

    first = say(ada, session, "x", cat, key="k")
    same = say(ada, session, "x", cat, key="k")
    other = say(ada, session, "x", dog, key="k")
    without = say(ada, session, "x", key="k")

    assert same.json() == first.json()
    assert (other.status_code, without.status_code) == (409, 409)
    assert len(model.requests) == 1


def test_of_a_file_that_is_gone_a_model_is_told_that_it_is(
    ada: httpx.Client, session: str, model: ModelServer
) -> None:
    cat = uploaded(ada)
    say(ada, session, "one", cat)
    ada.delete(f"/api/assets/{cat['id']}").raise_for_status()

    say(ada, session, "two")

    assert asked(model) == ["one\n\n[A file that is gone]", "two"]


def test_a_model_without_eyes_is_told_the_names(start_api: StartApi, model: ModelServer) -> None:
    api = start_api(assistant="openai", openai_base_url=model.url, openai_images="off")
    with api.person() as ada:
        session = ada.post("/api/chat/start").json()["sessionId"]
        say(ada, session, "What is it?", uploaded(ada))

    assert asked(model) == ["What is it?\n\n[A file that you cannot see: cat.png]"]


def test_a_message_says_something_or_has_a_file(ada: httpx.Client, session: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"message": ""},
        {"message": "", "attachments": []},
        {"attachments": []},
    ]
    for body in bodies:
        answer = ada.post(f"/api/chat/{session}/message", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "message"


def test_only_so_many_bytes_are_given(
    ada: httpx.Client, session: str, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.chat.files.BYTES_MOST", len(PNG) + 1)
    say(ada, session, "one", uploaded(ada, name="old.png"))

    say(ada, session, "two", uploaded(ada, name="new.png"))

    assert asked(model) == [
        "one\n\n[A file that you cannot see: old.png]",
        [{"type": "text", "text": "two"}, IMAGE],
    ]
    assert "old" in json.dumps(model.requests[-1])


def test_files_wait_for_room_and_without_it_their_message_is_kept(
    start_api: StartApi, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_room, "HELD_MOST_BYTES", len(PNG))
    monkeypatch.setattr("api.chat.files.BYTES_MOST", len(PNG))
    api = start_api(assistant="openai", openai_base_url=model.url)
    go = threading.Event()
    with (
        closing(api.person()) as ada,
        closing(api.person()) as eve,
        ThreadPoolExecutor() as others,
        ExitStack() as ending,
    ):
        ending.callback(go.set)
        first, second = (
            person.post("/api/chat/start").json()["sessionId"] for person in (ada, eve)
        )
        model.script.append(held(go))
        running = others.submit(say, ada, first, "What is it?", uploaded(ada))
        eventually(lambda: model.requests)

        monkeypatch.setattr(file_room, "WAIT_SECONDS", 0)
        refused = say(eve, second, "And this?", uploaded(eve))
        later = say(eve, second, "Are you there?")
        without = asked(model)
        monkeypatch.setattr(file_room, "WAIT_SECONDS", 60)
        waiting = others.submit(say, eve, second, "Once more:", uploaded(eve, b"x" * len(PNG)))
        room = api.app.state.services.chat._files._room._of_all
        eventually(room._first.locked)
        go.set()

        assert (refused.status_code, int(refused.headers["Retry-After"]) >= 5) == (503, True)
        assert (later.status_code, without) == (200, ["And this?\n\nAre you there?"])
        assert [one.result(60).status_code for one in (running, waiting)] == [200, 200]
    assert "x" * len(PNG) in json.dumps(asked(model))
    assert room._free == len(PNG)
