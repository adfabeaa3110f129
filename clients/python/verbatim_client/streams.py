"""The course of a streamed answer: it goes on where it was cut, until its end."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from verbatim_client.call import Call, encoded
from verbatim_client.errors import NoAnswer, VerbatimError, told_problem
from verbatim_client.event_stream import EventParser, RawEvent
from verbatim_client.exchange import failure_of, may_renew, request_of
from verbatim_client.identity import Identity
from verbatim_client.models import ChatAnswer
from verbatim_client.retries import Patience
from verbatim_client.steps import Open, ReadOn, Renew, Reply, Request, Show, Stream


@dataclass(frozen=True)
class Start:
    """The message is accepted: `message_id` is its id and the turn's."""

    session_id: str
    conversation_id: int
    message_id: int
    remembers_from: int | None


@dataclass(frozen=True)
class Delta:
    """More of the answer's text."""

    text: str


@dataclass(frozen=True)
class Part:
    """What belongs to the answer besides its text, such as the call of a tool."""

    index: int
    part: dict[str, Any]


@dataclass(frozen=True)
class End:
    """The answer is stored, and this is all of it."""

    answer: ChatAnswer


Event: TypeAlias = Start | Delta | Part | End

_KNOWN: Final = {"start", "delta", "part", "end", "error"}


class _Progress:
    """What was shown of a stream."""

    def __init__(self, call: Call[ChatAnswer], who: Identity) -> None:
        self._call = call
        self._who = who
        self._content = None if call.body is None else encoded(call.body)
        self._last_id: str | None = None
        self._has_started = False
        self._parts = 0
        self.is_done = False

    def request(self) -> Request:
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        return request_of(self._call, self._who, self._content, headers)

    def take(self, raw: RawEvent) -> Event | None:
        """Return an event if it is new and known; raise the error that it tells."""
        if raw.name not in _KNOWN:
            return None
        data = json.loads(raw.data)
        if raw.id is not None:
            self._last_id = raw.id
        self._who.written.note(data)
        if raw.name == "error":
            problem = told_problem(data)
            problem.idempotency_key = self._call.key
            raise problem
        if raw.name == "start" and not self._has_started:
            self._has_started = True
            names = ("sessionId", "conversationId", "messageId", "remembersFrom")
            return Start(*map(data.get, names))
        if raw.name == "delta":
            return Delta(data["text"])
        if raw.name == "part" and data["index"] >= self._parts:
            self._parts = data["index"] + 1
            return Part(data["index"], data["part"])
        if raw.name == "end":
            self.is_done = True
            return End(self._call.read(data))
        return None


def streamed(call: Call[ChatAnswer], who: Identity) -> Stream[Event]:
    """Show an answer as it is made; what is sent again has the same key, and is no new message.

    Raises:
        Problem: The server refused the message, or has no answer to it; the message is kept.
        NoAnswer: The stream could not be resumed within the time for retries.
    """
    progress = _Progress(call, who)
    patience = Patience(who.retry_seconds)
    renewed = False
    while not progress.is_done:
        if who.sign_in is not None and who.sign_in.is_due:
            yield Renew(who.sign_in.access)
        bearer = who.bearer
        outcome = yield Open(progress.request())
        failure: VerbatimError
        if isinstance(outcome, Reply) and outcome.status == HTTPStatus.OK:
            renewed = False
            failure = yield from _read(progress, patience)
        elif isinstance(outcome, Reply) and outcome.status == HTTPStatus.NO_CONTENT:
            if call.key is None:
                return  # nothing is known of the turn; the history may have its answer
            failure = NoAnswer("nothing is known of the answer's end")
        else:
            failure = failure_of(outcome)
        if may_renew(failure, who) and not renewed:
            renewed = True
            yield Renew(bearer)
        elif not progress.is_done:
            yield patience.pause(failure, call)


def _read(
    progress: _Progress, patience: Patience
) -> Generator[ReadOn | Show[Event], Any, NoAnswer]:
    """Show what is new of a stream; return why there is no more."""
    parser = EventParser()
    while not progress.is_done:
        chunk = yield ReadOn()
        if isinstance(chunk, NoAnswer):
            return chunk
        if not chunk:
            break
        for raw in parser.feed(chunk):
            event = progress.take(raw)
            if event is not None:
                patience.renew()
                yield Show(event)
    return NoAnswer("the stream ended")
