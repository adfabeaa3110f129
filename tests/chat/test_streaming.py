"""Streamed answers over HTTP: shown as they are made, stored once, whoever watches."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from api.chat.streaming.publisher import TurnPublisher
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from api.core.turns import Said, TurnName, said_arguments
from tests.chat.events import STREAM, Event, events, say, text_of
from tests.support.api import Api, StartApi
from tests.support.log_requests import entries_of, said_in
from tests.support.waiting import eventually

LIMITS = Limits(
    log_max_entries=1000, log_max_bytes=10**6, log_max_age_seconds=10**12, idempotency_seconds=60
)


@pytest.fixture(scope="module")
def slow_api(start_api: StartApi) -> Api:
    """An API whose assistant takes 30 ms for a word."""
    return start_api(demo_word_ms=30)


@pytest.fixture(scope="module")
def other_api(slow_api: Api, start_api: StartApi) -> Api:
    """A second process of the same stack."""
    known = slow_api.settings
    return start_api(
        database_url=known.database_url, log_namespace=known.log_namespace, demo_word_ms=30
    )


@pytest.fixture
def ada(slow_api: Api) -> Iterator[httpx.Client]:
    with closing(slow_api.person()) as client:
        yield client


def test_an_answer_comes_as_start_deltas_and_end(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    seen = say(ada, session, "Hello there, how are you today?")

    assert [seen[0]["event"], seen[-1]["event"]] == ["start", "end"]
    assert len(seen) > 4
    end = seen[-1]["data"]
    assert seen[0]["data"]["messageId"] == end["messageId"]
    assert end["response"] == text_of(seen)
    assert (end["status"], end["processed"]) == ("stored", True)
    assert seen[0]["data"]["remembersFrom"] == end["messageId"]  # it is the first of all
    assert said_in(slow_api.log, session) == [("stored", end["response"])]


def test_the_streamed_and_the_whole_answer_are_the_same(ada: httpx.Client) -> None:
    answers = []
    for headers in ({}, STREAM):
        session = ada.post("/api/chat/start").json()["sessionId"]
        path = f"/api/chat/{session}/message"
        answer = ada.post(path, json={"message": "Same question"}, headers=headers)
        answers.append(answer.json()["response"] if not headers else text_of(list(events(answer))))

    assert answers[0] == answers[1]


def test_a_client_that_goes_away_does_not_stop_the_answer(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    path = f"/api/chat/{session}/message"
    with ada.stream("POST", path, json={"message": "Hello"}, headers=STREAM) as response:
        next(events(response))

    eventually(lambda: bool(said_in(slow_api.log, session)))

    ((status, text),) = said_in(slow_api.log, session)
    assert status == "stored"
    assert text.endswith("Ask me later what you said first.")


def test_a_refreshed_client_goes_on_where_it_was_on_any_process(
    ada: httpx.Client, other_api: Api, session: str
) -> None:
    path = f"/api/chat/{session}/message"
    long = {"message": "a " * 60}
    with ada.stream("POST", path, json=long, headers=STREAM) as response:
        live = events(response)
        start = next(live)
        first = next(live)
    turn = start["data"]["messageId"]

    with httpx.Client(base_url=other_api.url, headers=ada.headers) as elsewhere:
        running = elsewhere.get(f"/api/chat/{session}/turns").json()["turns"]
        known = {"Last-Event-ID": first["id"]}
        path = f"/api/chat/{session}/stream"
        with elsewhere.stream("GET", path, params={"turn": turn}, headers=known) as response:
            rest = list(events(response))

    assert [running_turn["messageId"] for running_turn in running] == [turn]
    assert first["data"]["text"] + text_of(rest) == rest[-1]["data"]["response"]
    assert rest[-1]["event"] == "end"


def test_a_finished_answer_can_be_watched_again_from_anywhere(
    ada: httpx.Client, session: str
) -> None:
    seen = say(ada, session, "Hello")
    turn = seen[0]["data"]["messageId"]
    whole = seen[-1]["data"]["response"]

    def again(after: str) -> list[Event]:
        answer = ada.get(
            f"/api/chat/{session}/stream", params={"turn": turn}, headers={"Last-Event-ID": after}
        )
        return list(events(answer))

    assert text_of(again("")) == whole
    assert text_of(again("10")) == whole[10:]
    assert [event["event"] for event in again(str(len(whole)))] == ["start", "end"]


def test_a_stopped_answer_is_stored_as_interrupted(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    seen: list[Event] = []
    talking = threading.Thread(target=lambda: seen.extend(say(ada, session, "Hello " * 30)))
    talking.start()
    with httpx.Client(base_url=slow_api.url, headers=ada.headers) as second:
        eventually(lambda: bool(second.get(f"/api/chat/{session}/turns").json()["turns"]))
        time.sleep(0.2)  # some words
        stopped = second.post(f"/api/chat/{session}/stop").json()["stopped"]
    talking.join(10)

    end = seen[-1]["data"]
    assert stopped == [end["messageId"]]
    assert end["status"] == "interrupted"
    assert text_of(seen) == end["response"]
    assert said_in(slow_api.log, session) == [("interrupted", end["response"])]
    assert not end["response"].endswith("first.")


def test_stopping_what_does_not_run_stops_nothing(ada: httpx.Client, session: str) -> None:
    answer = ada.post(f"/api/chat/{session}/stop", json={"turn": 12345})

    assert answer.json() == {"stopped": []}


def test_a_retry_with_the_same_key_watches_the_same_turn(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    both: list[list[Event]] = [[], []]

    def talk(which: int) -> None:
        with httpx.Client(base_url=slow_api.url, headers=ada.headers, timeout=60) as client:
            both[which] = say(client, session, "Hello", **{"Idempotency-Key": "one"})

    threads = [threading.Thread(target=talk, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    third = say(ada, session, "Hello", **{"Idempotency-Key": "one"})

    assert both[0][-1]["data"] == both[1][-1]["data"] == third[-1]["data"]
    assert len(said_in(slow_api.log, session)) == 1


def test_two_tabs_each_get_their_answer_in_the_order_of_the_log(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    both: list[list[Event]] = [[], []]

    def talk(which: int) -> None:
        with httpx.Client(base_url=slow_api.url, headers=ada.headers, timeout=60) as client:
            both[which] = say(client, session, f"I am tab {which}")

    threads = [threading.Thread(target=talk, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    for which in (0, 1):
        assert f"I am tab {which}" in both[which][-1]["data"]["response"]
    replies = sorted((seen[-1]["data"]["replyId"], text_of(seen)) for seen in both)
    assert [text for _, text in replies] == [text for _, text in said_in(slow_api.log, session)]


@pytest.mark.parametrize("path", ["stream?turn=1", "turns"])
def test_nobody_watches_somebody_elses_turn(
    ada: httpx.Client, slow_api: Api, session: str, path: str
) -> None:
    say(ada, session, "Hello")
    with closing(slow_api.person()) as eve:
        assert eve.get(f"/api/chat/{session}/{path}").status_code == 404
        assert eve.post(f"/api/chat/{session}/stop").status_code == 404


def test_nothing_is_shown_of_a_turn_that_nobody_knows(ada: httpx.Client, session: str) -> None:
    assert ada.get(f"/api/chat/{session}/stream", params={"turn": 4711}).status_code == 204


@pytest.mark.parametrize("known", ["x", "-1", "1" * 50, "1.5"])
def test_a_senseless_last_event_id_is_refused(ada: httpx.Client, session: str, known: str) -> None:
    answer = ada.get(
        f"/api/chat/{session}/stream", params={"turn": 4711}, headers={"Last-Event-ID": known}
    )

    assert answer.status_code == 400


def test_refusals_come_before_the_stream_as_problems(ada: httpx.Client) -> None:
    answer = ada.post("/api/chat/sess_1000/message", json={"message": "Hello"}, headers=STREAM)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_first_turn_gives_a_title_and_later_ones_do_not(
    ada: httpx.Client, slow_api: Api, session: str
) -> None:
    def titles() -> list[str]:
        entries = entries_of(slow_api.log, session)
        return [entry.data.decode() for entry in entries if entry.op == "title"]

    say(ada, session, "Plan my holiday in the mountains with two children and one very old dog")
    eventually(lambda: bool(titles()))
    say(ada, session, "Something else")

    assert titles() == ["Plan my holiday in the mountains with two children and one…"]


def test_an_answer_left_by_a_dead_process_is_stored_by_another(
    slow_api: Api, other_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is played by the accept script alone: it took the lease and said two words."""
    with closing(slow_api.person()) as ada:
        session = ada.post("/api/chat/start").json()["sessionId"]
        conversation = int(session.removeprefix("sess_"), 16)
        owner = ada.get("/auth/me").json()["id"]
    turn = left_behind(slow_api, owner, conversation, ["Once ", "upon "])

    eventually(lambda: bool(said_in(slow_api.log, session)))

    assert said_in(slow_api.log, session) == [("interrupted", "Once upon ")]
    assert turn not in slow_api.log.run("running", owner, conversation)


def test_an_end_that_is_known_before_the_last_words_comes_after_them(
    ada: httpx.Client, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a silence the turn is looked at, and may be stored while its words are on their way."""
    monkeypatch.setattr("api.chat.streaming.subscriber.SILENCE_SECONDS", 0.05)
    monkeypatch.setattr("api.chat.streaming.publisher.LINGER_SECONDS", 60.0)
    close = TurnPublisher.close

    def later(publisher: TurnPublisher, *told: Any) -> None:
        asyncio.get_running_loop().call_later(1.0, close, publisher, *told)

    monkeypatch.setattr(TurnPublisher, "close", later)

    seen = say(ada, session, "Hello there, how are you today?")

    assert seen[-1]["event"] == "end"
    assert text_of(seen) == seen[-1]["data"]["response"]


def test_the_end_tells_all_of_an_answer_whose_pieces_expired(slow_api: Api) -> None:
    """As where Redis' clock is set forward, right after another process stored the answer."""
    log = slow_api.log
    with closing(slow_api.person()) as ada:
        session = ada.post("/api/chat/start").json()["sessionId"]
        conversation = int(session.removeprefix("sess_"), 16)
        owner = ada.get("/auth/me").json()["id"]
        turn = left_behind(slow_api, owner, conversation, [])
        path = f"/api/chat/{session}/stream"
        with ada.stream("GET", path, params={"turn": turn}, headers=STREAM) as response:
            live = events(response)
            next(live)
            add_reply(slow_api, TurnName(owner, conversation, turn), b"Once upon a time")
            log.redis.delete(log.key(turn, f"turn:{turn}"))
            log.redis.zadd(log.key(turn, "running"), {f"{owner}:{conversation}:{turn}": 1})
            rest = [event for event in live if event["event"] != "ping"]

    assert [event["event"] for event in rest] == ["delta", "end"]
    assert text_of(rest) == rest[-1]["data"]["response"] == "Once upon a time"


def add_reply(api: Api, name: TurnName, text: bytes) -> None:
    request = AcceptRequest(
        *("add", name.user_id, "reply", name.conversation_id, "assistant"),
        data=text,
        key=str(name.id),
    )
    assert api.log.accept(LIMITS, 10**13, [request]).results[0].status == "ok"


def left_behind(api: Api, owner: int, conversation: int, words: list[str]) -> int:
    request = AcceptRequest(
        "add", owner, "turn", conversation, "user", data=b"Tell me", lease="dead", streamed=True
    )
    (answer,) = api.log.accept(LIMITS, 10**13, [request]).results
    name, length = TurnName(owner, conversation, answer.id), 0
    for word in words:
        length += len(word)
        api.log.run("say", *said_arguments(name, "dead", Said(length, "delta", word)))
    return answer.id
