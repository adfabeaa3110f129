"""One chat turn over HTTP, with a model that fails, dawdles and breaks off."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from api.chat import leases, running_turns
from api.chat import turn as chat_turns
from api.core import accept_calls
from api.core.accept_calls import Limits
from api.core.accept_requests import AcceptRequest
from tests.support import model_server
from tests.support.api import Api, StartApi
from tests.support.log_contents import accepted, said
from tests.support.misbehaving_models import DONE, SAID, event, sends, stops
from tests.support.model_server import Behaviour, ModelServer, failing
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def api(start_api: StartApi, running: ModelServer) -> Api:
    return start_api(assistant="openai", openai_base_url=running.url, openai_timeout_seconds=2.0)


def slowly(answer: str, *, seconds: float) -> Behaviour:
    return lambda _: model_server.stream(
        model_server.chunk(answer), model_server.chunk(None, "stop"), pause_seconds=seconds
    )


def accept_by_hand(api: Api, request: AcceptRequest) -> int:
    """Put an entry into the log as another process would; return its id."""
    limits = Limits(
        log_max_entries=1000,
        log_max_bytes=1_000_000,
        log_max_age_seconds=10**12,
        idempotency_seconds=3600,
    )
    [answer] = api.log.accept(limits, time.time_ns() // 1_000_000 + 5_000, [request]).results
    assert answer.status == "ok"
    return answer.id


class Session:
    """A chat session of somebody's."""

    def __init__(self, person: httpx.Client) -> None:
        started = person.post("/api/chat/start").json()
        self.person = person
        self.path = f"/api/chat/{started['sessionId']}"
        self.id: int = started["conversationId"]

    def say(self, message: str, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.person.post(f"{self.path}/message", json={"message": message}, headers=headers)


@pytest.fixture
def session(ada: httpx.Client) -> Session:
    return Session(ada)


def test_a_turn_stores_the_message_and_the_answer(
    api: Api, model: ModelServer, session: Session
) -> None:
    answer = session.say("Buy 🥛")

    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "response": "Certainly.",
        "intent": None,
        "processed": True,
        "sessionId": f"sess_{session.id:x}",
        "conversationId": session.id,
        "messageId": body["messageId"],
        "replyId": body["replyId"],
        "status": "stored",
        "finish": None,
        "extra": None,
    }
    assert said(api, session.id) == [("user", "Buy 🥛"), ("assistant", "Certainly.")]
    ids = [entry.id for entry in accepted(api, session.id) if entry.op in {"open", "add"}]
    assert ids == [session.id, body["messageId"], body["replyId"]]


def test_the_tokens_that_an_answer_took_are_told_and_stored(
    api: Api, model: ModelServer, session: Session
) -> None:
    usage = event({"choices": [], "model": "m", "usage": {"prompt_tokens": 3}})
    model.script.append(sends(SAID, stops("length"), usage, DONE))

    first = session.say("Buy milk", key="a").json()
    again = session.say("Buy milk", key="a").json()

    told = {"model": "m", "usage": {"input_tokens": 3}, "finish": "length"}
    assert first["extra"] == {"format": "verbatim/1", **told}
    assert first["finish"] == "length"
    assert again == first
    assert said(api, session.id) == [("user", "Buy milk"), ("assistant", "A whole answer.")]


def test_the_model_is_given_the_earlier_turns(model: ModelServer, session: Session) -> None:
    session.say("one")
    session.say("two")

    contents = [message["content"] for message in model.requests[-1]["messages"]]
    assert contents == ["one", "Certainly.", "two"]


def test_an_extra_user_id_is_ignored(api: Api, model: ModelServer, session: Session) -> None:
    answer = session.person.post(
        f"{session.path}/message", json={"message": "hi", "userId": {"any": ["thing"]}}
    )

    assert answer.status_code == 200
    assert {entry.user_id for entry in accepted(api, session.id)} == {
        session.person.get("/auth/me").json()["id"]
    }


def test_a_turn_repeated_with_its_key_is_one_turn(
    api: Api, model: ModelServer, session: Session
) -> None:
    first = session.say("Buy milk", key="a")
    model.answer = "Something else."
    again = session.say("Buy milk", key="a")

    assert again.json() == first.json()
    assert len(model.requests) == 1
    assert said(api, session.id) == [("user", "Buy milk"), ("assistant", "Certainly.")]


def test_a_key_with_another_message_is_a_conflict(
    api: Api, model: ModelServer, session: Session
) -> None:
    session.say("Buy milk", key="a")

    answer = session.say("Buy bread", key="a")

    assert answer.status_code == 409
    assert len(said(api, session.id)) == 2


def test_without_a_key_the_same_words_are_two_turns(
    api: Api, model: ModelServer, session: Session
) -> None:
    session.say("Buy milk")
    session.say("Buy milk")

    assert len(said(api, session.id)) == 4


def test_a_key_belongs_to_its_user(
    api: Api, model: ModelServer, session: Session, eve: httpx.Client
) -> None:
    other = Session(eve)

    mine = session.say("mine", key="same")
    theirs = other.say("theirs", key="same")

    assert mine.status_code == theirs.status_code == 200
    assert mine.json()["messageId"] != theirs.json()["messageId"]


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (failing(400), 502),
        (failing(500), 502),
        (model_server.empty, 502),
        (model_server.speechless(5.0), 504),
    ],
)
def test_a_failed_model_is_a_problem_and_keeps_the_one_message(
    api: Api, model: ModelServer, session: Session, behaviour: Behaviour, status: int
) -> None:
    model.script.extend([behaviour] * 2)

    failed = session.say("Buy milk", key="a")
    kept = said(api, session.id)
    model.script.clear()
    repeated = session.say("Buy milk", key="a")

    assert failed.status_code == failed.json()["status"] == status
    assert "Buy milk" not in failed.text
    assert kept == [("user", "Buy milk")]
    assert repeated.status_code == 200
    # The lease was given up, so nobody waits for its end (10 s).
    assert repeated.elapsed.total_seconds() < 5
    assert said(api, session.id) == [("user", "Buy milk"), ("assistant", "Certainly.")]


def test_an_answer_that_breaks_off_is_kept_and_not_asked_for_again(
    api: Api, model: ModelServer, session: Session
) -> None:
    model.script.append(model_server.broken_off)

    first = session.say("Buy milk", key="a")
    again = session.say("Buy milk", key="a")

    assert (first.status_code, first.json()["status"]) == (200, "interrupted")
    assert again.json() == first.json()
    assert len(model.requests) == 1
    assert said(api, session.id) == [("user", "Buy milk"), ("assistant", "Half an ")]


def test_a_failed_turn_and_the_next_are_sent_as_one_message(
    model: ModelServer, session: Session
) -> None:
    model.script.extend([failing(400)])
    session.say("Buy milk")

    session.say("And bread")

    assert model.requests[-1]["messages"] == [{"role": "user", "content": "Buy milk\n\nAnd bread"}]


def test_a_concurrent_retry_waits_for_the_running_turn(
    api: Api, model: ModelServer, session: Session
) -> None:
    model.script.append(slowly("Slowly.", seconds=0.5))

    with ThreadPoolExecutor(5) as requests:
        answers = [requests.submit(session.say, "Buy milk", "a") for _ in range(5)]
        bodies = [answer.result().json() for answer in answers]

    assert len(model.requests) == 1
    assert bodies == [bodies[0]] * 5
    assert bodies[0]["response"] == "Slowly."
    assert said(api, session.id) == [("user", "Buy milk"), ("assistant", "Slowly.")]


def test_a_retry_of_a_turn_that_never_ends_is_503(
    api: Api, model: ModelServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_turns, "WAIT_SECONDS", 0.5)
    model.script.append(model_server.silent(1.5))

    with ThreadPoolExecutor() as requests:
        running = requests.submit(session.say, "Buy milk", "a")
        eventually(lambda: model.requests)
        retry = session.say("Buy milk", key="a")
        running.result()

    assert retry.status_code == 503
    assert int(retry.headers["Retry-After"]) >= 1


def test_a_lease_is_renewed_while_the_model_thinks(
    api: Api, model: ModelServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is made to end after a second; the model takes 1.2 s."""
    monkeypatch.setattr(accept_calls, "LEASE_MS", 1_000)
    monkeypatch.setattr(running_turns, "LEASE_MS", 1_000)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.1)
    model.script.append(slowly("Slowly.", seconds=0.6))

    with ThreadPoolExecutor() as requests:
        answers = [requests.submit(session.say, "Buy milk", "a") for _ in range(3)]
        bodies = [answer.result().json() for answer in answers]

    assert len(model.requests) == 1
    assert bodies == [bodies[0]] * 3


def test_a_turn_whose_runner_died_is_run_by_the_retry(
    api: Api, model: ModelServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that took the lease accepts the message and is never heard of again."""
    owner = session.person.get("/auth/me").json()["id"]
    begun = AcceptRequest(
        "add", owner, "turn", session.id, "user", data=b"Buy milk", key="a", lease="dead"
    )
    monkeypatch.setattr(accept_calls, "LEASE_MS", 500)
    accept_by_hand(api, begun)
    monkeypatch.undo()

    answer = session.say("Buy milk", key="a")

    assert answer.json()["response"] == "Certainly."
    assert said(api, session.id) == [("user", "Buy milk"), ("assistant", "Certainly.")]


def test_a_conversation_deleted_in_mid_turn_answers_404(
    api: Api, model: ModelServer, session: Session
) -> None:
    model.script.append(slowly("Slowly.", seconds=0.3))

    with ThreadPoolExecutor() as requests:
        running = requests.submit(session.say, "Buy milk", "a")
        eventually(lambda: model.requests)
        deleted = session.person.delete(f"/api/conversations/{session.id}")

    assert deleted.status_code == 202
    assert running.result().status_code == 404
    assert session.say("more").status_code == 404


def test_an_answer_to_a_session_that_ended_in_mid_turn_is_still_taken(
    api: Api, model: ModelServer, session: Session
) -> None:
    model.script.append(slowly("Slowly.", seconds=0.3))

    with ThreadPoolExecutor() as requests:
        running = requests.submit(session.say, "Buy milk", "a")
        eventually(lambda: model.requests)
        ended = session.person.delete(session.path)

    assert ended.status_code == 200
    assert ended.json()["message"]
    assert ended.json()["sessionId"] == f"sess_{session.id:x}"
    assert running.result().json()["response"] == "Slowly."
    assert session.say("more").status_code == 409


def test_somebody_elses_session_is_404(
    api: Api, model: ModelServer, session: Session, eve: httpx.Client
) -> None:
    said_by_eve = eve.post(f"{session.path}/message", json={"message": "let me in"})
    ended_by_eve = eve.delete(session.path)

    assert said_by_eve.status_code == ended_by_eve.status_code == 404
    assert said(api, session.id) == []
    assert session.say("hello").status_code == 200


def test_the_first_answer_of_a_turn_stands(api: Api, model: ModelServer, session: Session) -> None:
    """A caller that lost its lease gets the answer that was accepted before its own."""
    owner = session.person.get("/auth/me").json()["id"]
    model.script.append(slowly("Late.", seconds=0.5))

    with ThreadPoolExecutor() as requests:
        running = requests.submit(session.say, "Buy milk", "a")
        eventually(lambda: model.requests)
        turn = accepted(api, session.id)[-1].id
        first = accept_by_hand(
            api,
            AcceptRequest(
                "add", owner, "reply", session.id, "assistant", data=b"First.", key=str(turn)
            ),
        )
        answer = running.result().json()

    assert (answer["response"], answer["replyId"]) == ("First.", first)
    assert said(api, session.id) == [("user", "Buy milk"), ("assistant", "First.")]


def test_the_demo_assistant_remembers(start_api: StartApi) -> None:
    with closing(start_api(assistant="demo").person()) as person:
        session = Session(person)
        session.say("Buy milk")
        session.say("Call mum")
        answer = session.say("What did I say first?")

    assert "“Buy milk”" in answer.json()["response"]
