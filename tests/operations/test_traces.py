"""TRACES: a real API and a real worker send their spans to a real receiver."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple

import httpx
import pytest
from pydantic import ValidationError

from api.core.settings import Settings
from tests.drain.processes import WorkerProcess
from tests.support.api import Api, StartApi
from tests.support.collector import Collector, ReceivedSpan, collecting
from tests.support.waiting import eventually

#: A message's way, from first to last.
WAY = [
    ("verbatim-api", "POST /api/conversations/{conversation_id}/messages"),
    ("verbatim-api", "group commit"),
    ("verbatim-worker", "waiting in the log"),
    ("verbatim-worker", "drain batch"),
    ("verbatim-worker", "commit"),
]
#: Stands for whatever people write.
WORDS = "onlyAdaMayReadThis"


class Written(NamedTuple):
    """A message, and the trace that its request was part of."""

    created_at: str
    trace: str
    caller: str


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def api(start_api: StartApi, collector: Collector) -> Iterator[Api]:
    """An API that sends its spans, as does the worker that is started meanwhile."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRACES", "otlp")
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield start_api()


def write(ada: httpx.Client, conversation: int, sampled: str = "01", **more: str) -> Written:
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    answer = ada.post(
        f"/api/conversations/{conversation}/messages",
        json={"role": "user", "content": WORDS, **more},
        headers={"traceparent": f"00-{trace}-{caller}-{sampled}"},
    )
    assert answer.status_code == 202, answer.text
    return Written(answer.json()["created_at"], trace, caller)


def open_one(ada: httpx.Client) -> int:
    return int(ada.post("/api/conversations/", json={"title": WORDS}).json()["id"])


class Waited(NamedTuple):
    """What waited until a worker was started: the last one's caller wants no trace of it."""

    first: Written
    second: Written
    not_sampled: Written
    #: Of the conversation and of each message, as they stood in the log.
    fields: list[bytes]


@pytest.fixture(scope="module")
def waited(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waited]:
    """A conversation with three messages; a worker is there from now on."""
    with closing(api.person()) as ada:
        conversation = open_one(ada)
        first, second = write(ada, conversation), write(ada, conversation, external_id=WORDS)
        not_sampled = write(ada, conversation, sampled="00")
    entries: Any = api.log.redis.xrange(api.log.key(conversation, "log"))
    fields = [b"".join(one) for _, one in entries]
    role = {"database_url": api.settings.worker_database_url}
    worker = WorkerProcess(
        api.settings.model_copy(update=role), tmp_path_factory.mktemp("worker") / "worker.log"
    )
    try:
        eventually(lambda: api.log.status().entries == 0, otherwise=worker.said)
        yield Waited(first, second, not_sampled, fields)
    finally:
        worker.end()


def way_of(collector: Collector, message: Written) -> list[ReceivedSpan]:
    """Wait until all of a message's trace has come."""
    eventually(lambda: len(collector.spans(message.trace)) == len(WAY))
    found = {(span.service, span.name): span for span in collector.spans(message.trace)}
    assert found.keys() == set(WAY)
    return [found[step] for step in WAY]


def test_one_trace_shows_a_messages_way_from_its_request_to_the_commit(
    collector: Collector, waited: Waited
) -> None:
    request, call, waiting, batch, commit = way_of(collector, waited.first)

    parents = [span.parent for span in (request, call, waiting, batch, commit)]
    assert parents == [waited.first.caller, request.id, call.id, call.id, batch.id]
    assert request.start_ns <= call.start_ns <= call.end_ns <= request.end_ns
    assert request.about["http.response.status_code"] == 202
    # Without a gap, from when the log took it.
    accepted = datetime.fromisoformat(waited.first.created_at)
    assert waiting.start_ns == round(accepted.timestamp() * 1000) * 1_000_000
    assert waiting.start_ns <= waiting.end_ns == batch.start_ns
    assert batch.start_ns <= commit.start_ns <= commit.end_ns == batch.end_ns


def test_the_spans_of_one_batch_are_linked(collector: Collector, waited: Waited) -> None:
    first, second = (way_of(collector, one)[3] for one in (waited.first, waited.second))

    # Both to that of the conversation, which was opened before.
    assert first.links == second.links
    assert len(first.links) == 1
    assert [one.about["messaging.batch.message_count"] for one in (first, second)] == [4, 4]


def test_what_its_caller_does_not_sample_is_not_recorded_and_adds_nothing_to_the_log(
    collector: Collector, waited: Waited, ada: httpx.Client
) -> None:
    assert waited.fields == [b"hdt", b"hdt", b"hdt", b"hd"]
    # What came after it has come.
    way_of(collector, write(ada, open_one(ada)))
    assert collector.spans(waited.not_sampled.trace) == []


@pytest.mark.usefixtures("waited")
def test_no_span_says_what_was_written_or_by_whom(collector: Collector, ada: httpx.Client) -> None:
    ada.headers["User-Agent"] = WORDS
    conversation = open_one(ada)
    ada.post("/api/conversations/", json={"external_id": WORDS, "tags": [WORDS]})
    ada.get(f"/api/conversations/ext:{WORDS}", params={"q": WORDS})
    ada.get(f"/api/{WORDS}")
    ada.post("/auth/login", json={"username": WORDS, "password": WORDS})
    ada.post(f"/api/conversations/{conversation}/messages", json={"role": WORDS})
    ada.post("/api/chat/start", json={"message": WORDS})

    way_of(collector, write(ada, conversation, external_id=f"{WORDS} {WORDS}"))

    sent = b"".join(collector.bodies)
    name, address = (ada.get("/auth/me").json()[field] for field in ("username", "email"))
    token = ada.headers["Authorization"].removeprefix("Bearer ")
    for secret in (WORDS, name, address, token):
        assert secret.encode() not in sent


def test_traces_want_packages_that_are_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)

    with pytest.raises(ValidationError, match=r"requirements-otel\.txt"):
        Settings(_env_file=None, traces="otlp")


@pytest.mark.slow
def test_nothing_of_them_is_loaded_while_they_are_off() -> None:
    # Some of the SDK is: redis-py loads it where it is installed.
    code = "import sys, api.main, workers.process; print('opentelemetry.sdk.trace' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
