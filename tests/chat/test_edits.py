"""What was said is said anew, or answered again: what was there is kept as a branch."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.chat.events import STREAM, events, text_of
from tests.support.api import Api, StartApi
from tests.support.draining import draining
from tests.support.model_server import ModelServer, failing, held


@pytest.fixture(scope="module")
def api(start_api: StartApi, running: ModelServer) -> Iterator[Api]:
    started = start_api(assistant="openai", openai_base_url=running.url)
    with draining(started.settings):
        yield started


class Session:
    """A chat session of somebody's."""

    def __init__(self, person: httpx.Client) -> None:
        started = person.post("/api/chat/start").json()
        self.person = person
        self.chat = f"/api/chat/{started['sessionId']}"
        self.id: int = started["conversationId"]
        self.path = f"/api/conversations/{self.id}"

    def say(
        self, message: str, key: str | None = None, replaces: int | None = None
    ) -> httpx.Response:
        body: dict[str, Any] = {"message": message}
        if replaces is not None:
            body["replaces"] = replaces
        return self.person.post(f"{self.chat}/message", json=body, headers=keyed(key))

    def regenerate(self, key: str | None = None) -> httpx.Response:
        return self.person.post(f"{self.chat}/regenerate", headers=keyed(key))

    def messages(self, *after: httpx.Response) -> list[tuple[str, str]]:
        """Return role and text of what is shown, with what these wrote."""
        written = {"read_after": [answer.json()["replyId"] for answer in after]}
        page = self.person.get(f"{self.path}/messages", params=written).json()
        assert [message["position"] for message in page["messages"]] == [
            *range(1, page["total"] + 1)
        ]
        return [(message["role"], message["content"]) for message in page["messages"]]

    def branches(self, *after: int) -> list[dict[str, Any]]:
        answer = self.person.get(f"{self.path}/branches", params={"read_after": after})
        found: list[dict[str, Any]] = answer.json()["branches"]
        return found

    def switch(self, branch: int) -> None:
        answer = self.person.post(f"{self.path}/branches/{branch}/switch")
        assert answer.status_code == 202, answer.text
        self.person.get(self.path, params={"read_after": answer.json()["entry_id"]})


def keyed(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


@pytest.fixture
def session(ada: httpx.Client, model: ModelServer) -> Session:
    return Session(ada)


def test_a_message_is_said_anew_in_its_place_and_answered(
    session: Session, model: ModelServer
) -> None:
    session.say("Buy milk")
    second = session.say("Call mum").json()
    session.say("Go home")
    model.answer = "At once."

    anew = session.say("Call dad", replaces=second["messageId"])

    assert anew.json()["response"] == "At once."
    assert [message["content"] for message in model.requests[-1]["messages"]] == [
        "Buy milk",
        "Certainly.",
        "Call dad",
    ]
    now = [("user", "Buy milk"), ("assistant", "Certainly.")]
    assert session.messages(anew) == [*now, ("user", "Call dad"), ("assistant", "At once.")]
    # What the assistant is given next is what is shown.
    last = session.say("Well?")
    assert [message["content"] for message in model.requests[-1]["messages"]] == [
        *(text for _, text in session.messages(anew)[:4]),
        "Well?",
    ]
    [branch] = session.branches()
    session.messages(last)
    session.switch(branch["id"])
    assert [text for _, text in session.messages()] == [
        *("Buy milk", "Certainly.", "Call mum", "Certainly.", "Go home", "Certainly.")
    ]


def test_the_first_message_may_be_said_anew(session: Session, model: ModelServer) -> None:
    first = session.say("Buy milk").json()

    anew = session.say("Buy bread", replaces=first["messageId"])

    assert model.requests[-1]["messages"] == [{"role": "user", "content": "Buy bread"}]
    assert session.messages(anew) == [("user", "Buy bread"), ("assistant", "Certainly.")]


def test_the_last_answer_is_made_again_and_again(session: Session, model: ModelServer) -> None:
    session.say("Buy milk")
    session.say("Call mum")
    model.answer = "Second."
    second = session.regenerate()
    model.answer = "Third."
    third = session.regenerate()

    assert [answer.json()["response"] for answer in (second, third)] == ["Second.", "Third."]
    assert model.requests[-1]["messages"] == model.requests[1]["messages"]
    assert session.messages(third) == [
        *[("user", "Buy milk"), ("assistant", "Certainly.")],
        *[("user", "Call mum"), ("assistant", "Third.")],
    ]
    assert len(session.branches()) == 2


def test_what_is_asked_again_keeps_its_extra_data(session: Session, model: ModelServer) -> None:
    extra = {"format": "x", "item": {"images": [1]}}
    message = {"role": "user", "content": "What is this?", "extra": extra}
    session.person.post(f"{session.path}/messages", json=message)

    answered = session.regenerate().json()

    page = session.person.get(
        f"{session.path}/messages", params={"read_after": answered["replyId"]}
    ).json()
    assert [message["extra"] for message in page["messages"]] == [extra, None]
    assert model.requests[-1]["messages"] == [{"role": "user", "content": "What is this?"}]


def test_what_a_message_brings_beside_its_text_stays_with_it(
    session: Session, model: ModelServer
) -> None:
    def say(body: str, key: str) -> httpx.Response:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return session.person.post(f"{session.chat}/message", content=body, headers=headers)

    first = say('{"message": "0:", "extra": {"b" : 1e2, "a":1}}', "one")
    same = say('{"message": "0:", "extra": {"b" : 1e2, "a":1}}', "one")
    other = say('{"message": "0:", "extra": {"b": 100, "a":1}}', "one")
    replaced = first.json()["messageId"]
    again = say(f'{{"message": "0:", "replaces": {replaced}, "extra": {{"b" : 3.50}}}}', "two")
    anew = session.regenerate()
    plain = say('{"message": "no more"}', "three")

    assert [first.status_code, other.status_code] == [200, 409]
    assert same.json() == first.json()
    page = session.person.get(
        f"{session.path}/messages", params={"read_after": plain.json()["replyId"]}
    )
    shown = page.json()["messages"]
    assert [message["content"] for message in shown[::2]] == ["0:", "no more"]
    assert [message["extra"] for message in shown] == [{"b": 3.5}, None, None, None]
    assert page.text.count('{"b" : 3.50}') == 1
    assert again.json()["messageId"] != anew.json()["messageId"] == shown[0]["id"]
    assert model.requests[1]["messages"] == [{"role": "user", "content": "0:"}]
    assert say('{"message": "x", "extra": {"a": NaN}}', "four").status_code == 422


@pytest.mark.parametrize("again", ["edit", "regenerate"])
def test_repeated_with_its_key_it_happens_once(
    api: Api, session: Session, model: ModelServer, again: str
) -> None:
    first = session.say("Buy milk").json()["messageId"]

    def once(key: str = "one") -> httpx.Response:
        if again == "edit":
            return session.say("Buy bread", key, replaces=first)
        return session.regenerate(key)

    answers = [once(), once()]
    later = session.say("Go home")
    answers.append(once())

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert len(model.requests) == 3
    assert len(session.messages(later)) == 4
    assert len(session.branches()) == 1
    assert session.say("Buy wine", "one", replaces=first).status_code == 409 or again != "edit"


def test_an_answer_that_was_put_aside_is_still_that_of_its_turn(
    session: Session, model: ModelServer
) -> None:
    first = session.say("Buy milk", "one")
    turn = {"turn": first.json()["messageId"]}
    session.messages(session.regenerate())

    again = session.say("Buy milk", "one")
    watched = session.person.get(f"{session.chat}/stream", params=turn)

    assert again.json() == first.json()
    assert list(events(watched))[-1]["data"] == first.json()
    assert len(model.requests) == 2


@pytest.mark.parametrize("again", ["edit", "regenerate"])
def test_where_the_model_fails_the_message_is_kept_and_asked_again(
    session: Session, model: ModelServer, again: str
) -> None:
    first = session.say("Buy milk").json()["messageId"]
    model.script.append(failing(400))

    def once() -> httpx.Response:
        if again == "edit":
            return session.say("Buy bread", "one", replaces=first)
        return session.regenerate("one")

    failed, answered = once(), once()

    text = "Buy bread" if again == "edit" else "Buy milk"
    assert (failed.status_code, answered.status_code) == (502, 200)
    assert model.requests[-1]["messages"] == [{"role": "user", "content": text}]
    assert session.messages(answered) == [("user", text), ("assistant", "Certainly.")]
    assert len(session.branches()) == 1


def test_an_answer_that_is_made_again_is_streamed_and_resumed(
    session: Session, model: ModelServer
) -> None:
    session.say("Buy milk")
    model.answer = "Half a dozen words are these."

    path = f"{session.chat}/regenerate"
    with session.person.stream("POST", path, headers=STREAM | keyed("one")) as response:
        seen = list(events(response))
    turn = {"turn": seen[0]["data"]["messageId"]}
    again = session.person.get(
        f"{session.chat}/stream", params=turn, headers={"Last-Event-ID": "5"}
    )
    unkeyed = session.person.post(path, headers=STREAM | {"Last-Event-ID": "0"})

    assert text_of(seen) == seen[-1]["data"]["response"] == model.answer
    assert text_of(list(events(again))) == model.answer[5:]
    assert unkeyed.status_code == 204
    assert len(session.branches(seen[-1]["data"]["replyId"])) == 1


def test_an_answer_that_is_made_again_can_be_stopped(session: Session, model: ModelServer) -> None:
    session.say("Buy milk")
    until = threading.Event()
    model.script.append(held(until))

    path = f"{session.chat}/regenerate"
    with session.person.stream("POST", path, headers=STREAM) as response:
        live = events(response)
        seen = [next(live), next(live)]
        with httpx.Client(base_url=session.person.base_url, headers=session.person.headers) as tab:
            stopped = tab.post(f"{session.chat}/stop").json()["stopped"]
        seen += live
    until.set()

    end = seen[-1]["data"]
    assert stopped == [end["messageId"]]
    assert (end["response"], end["status"]) == ("Half an ", "interrupted")


def test_both_entries_are_accepted_in_one_call_or_neither(
    api: Api, session: Session, model: ModelServer
) -> None:
    first = session.say("Buy milk").json()
    session.messages(session.say("Call mum"))
    ended = session.person.delete(session.chat)
    before = api.log.marks(range(16)).accepted

    refused = session.say("Buy bread", replaces=first["messageId"])

    assert (ended.status_code, refused.status_code) == (200, 409)
    assert len(session.messages()) == 4
    assert session.branches() == []
    assert api.log.marks(range(16)).accepted == before


def test_what_cannot_be_said_anew(session: Session, model: ModelServer, eve: httpx.Client) -> None:
    nothing = session.regenerate()
    said = session.say("Buy milk").json()
    other = Session(eve)
    theirs = other.say("mine").json()

    assert nothing.status_code == 404
    assert session.say("No", replaces=said["replyId"]).status_code == 422
    assert session.say("No", replaces=theirs["messageId"]).status_code == 404
    assert session.say("No", replaces=said["messageId"] - 16).status_code == 404
    assert session.say("No", replaces=0).status_code == 422
    assert other.say("No", replaces=said["messageId"]).status_code == 404
    assert eve.post(f"{session.chat}/regenerate").status_code == 404
    assert len(session.messages(session.say("Yes"))) == 4
