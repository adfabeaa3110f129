"""One person's requests: each is written to the history before it is sent and when it is answered.

Whatever may never come back (somebody else's answer, a 500, a 503 without Retry-After) is an alarm.
"""

import asyncio
import random
import re
import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from itertools import count
from typing import Any, Final

from tests.chaos import stream
from tests.chaos.history import Alarm, Answered, History, Invoked, Kind, Outcome
from tests.chaos.tables import digest, mark_of
from tests.chaos.wire import NoAnswerError, NotSentError, Response, Wire

#: What an API says where something may have been written.
_UNSURE: Final = re.compile(r"\bunknown\b|another request|waiting for this turn")
_REMEMBERED: Final = re.compile(r"I remember (?:(one)|(\d+)) messages? of yours before this one")
_LAST: Final = re.compile(r"the last was: “#([a-z0-9]+-[0-9]+)#")
_RETRY_SECONDS: Final = (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass(slots=True)
class Talk:
    """A conversation as its owner's clients know it."""

    id: int
    last_entry: int
    closed: bool = False
    may_be_deleted: bool = False
    in_use: int = 0


@dataclass(slots=True)
class Person:
    """Somebody with an account."""

    user: int
    token: str
    name: str = ""
    #: Those that may be the right one: more than one while the outcome of a change is unknown.
    passwords: list[str] = field(default_factory=list)
    #: Held by the client that ends the person's session.
    leaving: asyncio.Lock = field(default_factory=asyncio.Lock)
    talks: list[Talk] = field(default_factory=list)
    gone: list[Talk] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Write:
    """One write: what to send, and what it is called in the history."""

    op: str
    kind: Kind
    person: Person
    method: str
    path: str
    body: Any
    talk: Talk | None = None
    role: str = ""
    text: str = ""
    key: str = ""
    streamed: bool = False  #: its answer, of a turn

    @property
    def conversation(self) -> int:
        """The conversation's id, 0 for one yet to be opened."""
        return self.talk.id if self.talk else 0


@dataclass(slots=True)
class Tally:
    """What the load has done so far."""

    ok: int = 0
    refused: int = 0
    unknown: int = 0
    abandoned: int = 0
    reads: int = 0


class Client:
    """Sends writes until their outcome is known, and writes the history of it."""

    def __init__(self, wire: Wire, history: History, rng: random.Random, prefix: str) -> None:
        self.wire = wire
        self.history = history
        self.rng = rng
        self.tally = Tally()
        #: How often a client walks away in mid-request.
        self.abandons = 0.0
        #: How long it goes on repeating what got no answer.
        self.patience_seconds = 60.0
        #: Streamed turns whose answer did not come whole, by their ids.
        self.cut: dict[int, Write] = {}
        self._prefix = prefix
        self._names = count(1)

    def name(self) -> str:
        """Return a name for one more operation."""
        return f"{self._prefix}-{next(self._names)}"

    async def write(self, write: Write) -> Answered:
        """Send a write, again and again with the same key while nothing certain came back.

        Without a key it is sent once only.
        """
        deadline = time.monotonic() + self.patience_seconds
        waits = iter(_RETRY_SECONDS)
        while True:
            answered = await self.attempt(write)
            wait = next(waits, _RETRY_SECONDS[-1])
            gone = write.talk is not None and write.talk.may_be_deleted
            unsettled = answered.outcome == "unknown" and write.key and not gone
            if not unsettled or time.monotonic() + wait > deadline:
                return answered
            await asyncio.sleep(self.rng.uniform(wait / 2, wait))

    async def attempt(self, write: Write) -> Answered:
        """Send a write once."""
        began = time.monotonic()
        self.history.add(
            Invoked(
                began,
                write.op,
                write.kind,
                write.person.user,
                write.conversation,
                write.role,
                digest(write.text) if write.text else "",
            )
        )
        response = await self._send(write)
        answered = self.judge(write, response)
        self.history.add(answered)
        self._count(answered)
        return answered

    async def read(self, person: Person, path: str) -> Response | None:
        """Read a page; None where no answer came, or none with a page in it."""
        headers = {"Authorization": f"Bearer {person.token}"}
        try:
            response = await self.wire.ask("GET", path, headers=headers)
        except (NotSentError, NoAnswerError):
            return None
        self.tally.reads += 1
        self._check_manners(response, path)
        if response.status == HTTPStatus.GONE:
            self.alarm("lost", f"410 for {path}")
        return response if response.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND} else None

    async def is_running(self, turn: int, write: Write) -> bool:
        """Tell whether a streamed turn may still be on its way to the log."""
        path = f"/api/chat/sess_{write.conversation:x}/turns"
        response = await self.read(write.person, path)
        if response is None or response.status == HTTPStatus.NOT_FOUND:
            return response is None
        return any(int(one["messageId"]) == turn for one in response.json["turns"])

    def alarm(self, kind: str, detail: str) -> None:
        """Write down something that may never happen."""
        self.history.add(Alarm(time.monotonic(), kind, detail))

    def judge(self, write: Write, response: Response | Exception) -> Answered:
        """Say what an answer, or none, means; raise an alarm where it may not be."""
        now = time.monotonic()
        if not isinstance(response, Response):
            if isinstance(response, NoAnswerError) and response.so_far.is_stream:
                return self._read(write, response.so_far, now)
            unsent = isinstance(response, NotSentError)
            return Answered(now, write.op, "refused" if unsent else "unknown")
        self._check_manners(response, f"{write.method} {write.path}")
        outcome = _outcome(write, response)
        if outcome != "ok":
            return Answered(now, write.op, outcome, status=response.status)
        return self._read(write, response, now)

    def _read(self, write: Write, response: Response, now: float) -> Answered:
        try:
            if response.is_stream:
                return self._shown(write, response, now)
            return self._accepted(write, response.json, Answered(now, write.op, "ok"))
        except (KeyError, TypeError, ValueError) as error:
            self.alarm("foreign", f"{write.op} got an answer of another kind: {error!r}")
            return Answered(now, write.op, "unknown")

    async def _send(self, write: Write) -> Response | Exception:
        headers = {"Authorization": f"Bearer {write.person.token}"}
        if write.key:
            headers["Idempotency-Key"] = write.key
        if write.streamed:
            headers["Accept"] = "text/event-stream"
        asking = self.wire.ask(write.method, write.path, write.body, headers)
        try:
            if self.abandons and self.rng.random() < self.abandons:
                self.tally.abandoned += 1
                async with asyncio.timeout(self.rng.random() * 0.02):
                    return await asking
            return await asking
        except (NotSentError, NoAnswerError, TimeoutError) as error:
            return error

    def _accepted(self, write: Write, body: dict[str, Any], answered: Answered) -> Answered:
        """Read a 2xx, and see that it is the answer to this request and to no other."""
        match write.kind:
            case "open":
                conversation = int(body.get("conversationId") or body["id"])
                return replace(answered, entry=conversation, conversation=conversation)
            case "turn":
                # One that was cut may end before its mark, or be empty, as a dead letter is.
                is_cut = body["status"] != "stored"
                marks = {write.op, ""} if is_cut else {write.op}
                self._expect(write, mark_of(body["response"]) in marks, body["response"])
                self._expect(write, body["conversationId"] == write.conversation, "conversation")
                remembered, last = (-1, "") if is_cut else _memory(body["response"])
                return replace(
                    answered,
                    entry=int(body["messageId"]),
                    reply=int(body["replyId"]),
                    reply_digest=digest(body["response"]),
                    remembered=remembered,
                    last=last,
                )
            case "message" | "poison":
                self._expect(write, body["content"] == write.text, "content")
                self._expect(write, body["conversation_id"] == write.conversation, "conversation")
                self._expect(write, body["user_id"] == write.person.user, "user")
                return replace(answered, entry=int(body["id"]))
            case "close":
                return replace(answered, entry=int(body["entryId"]))
            case _:
                self._expect(write, body["id"] == write.conversation, "conversation")
                return replace(answered, entry=int(body["entry_id"]))

    def _shown(self, write: Write, response: Response, now: float) -> Answered:
        """Read a streamed answer: whoever was shown its beginning may rely on finding it stored."""
        told = stream.read(response.body)
        answered = Answered(now, write.op, "ok", shown=told.text[: stream.SHOWN_MOST])
        if told.end:
            # The end tells all of it, also of what went by while the log was away.
            if not told.end["response"].startswith(told.text):
                self.alarm("lost", f"{write.op}'s answer lacks words that were shown")
            return self._accepted(write, told.end, answered)
        if not told.start:
            return Answered(now, write.op, "unknown")
        if told.error.get("status") == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.alarm("uncivil", f"500 in the stream of {write.op}")
        self._expect(write, told.start["conversationId"] == write.conversation, "conversation")
        self._expect(write, mark_of(told.text) in {"", write.op}, told.text)
        entry = int(told.start["messageId"])
        self.cut[entry] = write
        return replace(answered, entry=entry)

    def _expect(self, write: Write, fact: bool, what: str) -> None:
        if not fact:
            self.alarm("foreign", f"{write.op} got another's answer: {what[:80]}")

    def _check_manners(self, response: Response, where: str) -> None:
        if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.alarm("uncivil", f"500 for {where}")
        busy = response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
        if busy and "retry-after" not in response.headers:
            self.alarm("uncivil", f"{response.status} without Retry-After for {where}")

    def _count(self, answered: Answered) -> None:
        match answered.outcome:
            case "ok":
                self.tally.ok += 2 if answered.reply else 1
            case "refused":
                self.tally.refused += 1
            case "unknown":
                self.tally.unknown += 1


def _outcome(write: Write, response: Response) -> Outcome:
    """Say what an answer proves.

    A turn writes twice: when its answer cannot be had, its question may be there.
    """
    status = response.status
    if status < HTTPStatus.BAD_REQUEST:
        return "ok"
    gone = status == HTTPStatus.NOT_FOUND and write.talk is not None and write.talk.may_be_deleted
    if write.kind == "turn" and (status >= HTTPStatus.INTERNAL_SERVER_ERROR or gone):
        return "unknown"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "unknown" if _UNSURE.search(response.detail) else "refused"
    return "unknown" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused"


def _memory(response: str) -> tuple[int, str]:
    found, last = _REMEMBERED.search(response), _LAST.search(response)
    if found is None:
        return 0, ""
    return 1 if found[1] else int(found[2]), last[1] if last else ""
