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

from api.core.ids import PARTITIONS
from tests.chaos import stream
from tests.chaos.history import LAST, Alarm, Answered, History, Invoked, Kind, Outcome
from tests.chaos.tables import digest, mark_of
from tests.chaos.wire import NoAnswerError, NotSentError, Response, Wire

#: What an API says where something may have been written.
_UNSURE: Final = re.compile(r"\bunknown\b|another request|waiting for this turn")
_REMEMBERED: Final = re.compile(r"I remember (?:(one)|(\d+)) messages? of yours before this one")
_LAST: Final = re.compile(r"the last was: “#([a-z0-9]+-[0-9]+)#")
_ABOUT: Final = re.compile(r"(?:Hello! )?You said: “#([a-z0-9]+-[0-9]+)#")
_RETRY_SECONDS: Final = (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass(slots=True)
class Talk:
    """A conversation as its owner's clients know it."""

    id: int
    last_entry: int
    closed: bool = False
    may_be_deleted: bool = False
    revised: bool = False  #: its messages are changed, too


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
class Element:
    """One message of a batch: an operation of its own in the history."""

    op: str
    role: str
    text: str


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
    elements: tuple[Element, ...] = ()  #: of a batch
    #: As the history has them.
    external: bool = False
    if_last: int = -1
    target: int = 0
    keep: bool = False
    about: str = ""

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

        Without a key or an external id it is sent once only.
        """
        deadline = time.monotonic() + self.patience_seconds
        waits = iter(_RETRY_SECONDS)
        while True:
            answered = await self.attempt(write)
            wait = next(waits, _RETRY_SECONDS[-1])
            gone = write.talk is not None and write.talk.may_be_deleted
            # The answer that a turn waited for may have been cut off.
            gone = gone or answered.status == HTTPStatus.NOT_FOUND
            is_one = write.key or write.external
            unsettled = answered.outcome == "unknown" and is_one and not gone
            if not unsettled or time.monotonic() + wait > deadline:
                return answered
            await asyncio.sleep(self.rng.uniform(wait / 2, wait))

    async def attempt(self, write: Write) -> Answered:
        """Send a write once."""
        began = time.monotonic()
        for one in write.elements or (write,):
            self.history.add(
                Invoked(
                    *(began, one.op, write.kind, write.person.user, write.conversation, one.role),
                    digest(one.text) if one.text else "",
                    batch=write.op if write.elements else "",
                    external=write.external,
                    if_last=write.if_last,
                    target=write.target,
                    keep=write.keep,
                    about=write.about,
                )
            )
        response = await self._send(write)
        answered = self.judge(write, response)
        for told in _each(write, answered):
            self.history.add(told)
            self._count(told)
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
        if write.if_last >= 0:
            headers["If-Last"] = str(write.if_last)
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
            case "open" | "fork":
                conversation = int(body.get("conversationId") or body["id"])
                return replace(answered, entry=conversation, conversation=conversation)
            case "turn":
                # One that was cut may end before its mark, or be empty, as a dead letter is.
                is_cut = body["status"] != "stored"
                marks = {write.op, ""} if is_cut else {write.op}
                is_own = write.target == LAST or mark_of(body["response"]) in marks
                self._expect(write, is_own, body["response"])
                self._expect(write, body["conversationId"] == write.conversation, "conversation")
                remembered, last = (-1, "") if is_cut else _memory(body["response"])
                return replace(
                    answered,
                    entry=int(body["messageId"]),
                    reply=int(body["replyId"]),
                    reply_digest=digest(body["response"]),
                    remembered=remembered,
                    last=last,
                    about=_about(body["response"]) if write.target == LAST else "",
                )
            case "message" if write.elements:
                told = [(m["content"], m["conversation_id"]) for m in body["messages"]]
                sent = [(one.text, write.conversation) for one in write.elements]
                self._expect(write, told == sent, "messages")
                ids = [int(m["id"]) for m in body["messages"]]
                self._expect(write, ids == _ids(write, int(body["entry_id"])), "ids")
                return replace(answered, entry=int(body["entry_id"]))
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
    may_be_gone = write.talk is not None and (write.talk.may_be_deleted or write.talk.revised)
    # What a turn replaces is looked for before anything is written.
    was_written = "no such message" not in response.detail
    gone = status == HTTPStatus.NOT_FOUND and may_be_gone and was_written
    if write.kind == "turn" and (status >= HTTPStatus.INTERNAL_SERVER_ERROR or gone):
        return "unknown"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return "unknown" if _UNSURE.search(response.detail) else "refused"
    return "unknown" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused"


def _ids(write: Write, entry: int) -> list[int]:
    """Return the ids of a batch's messages: its entry has that of the last one."""
    count = len(write.elements)
    return [entry - PARTITIONS * (count - 1 - at) for at in range(count)]


def _each(write: Write, answered: Answered) -> list[Answered]:
    """Return what was told of each message of a batch, or of the only one."""
    if not write.elements:
        return [answered]
    ids = _ids(write, answered.entry) if answered.entry else [0] * len(write.elements)
    each = zip(write.elements, ids, strict=True)
    return [replace(answered, op=one.op, entry=entry) for one, entry in each]


def _about(response: str) -> str:
    found = _ABOUT.match(response)
    return found[1] if found else ""


def _memory(response: str) -> tuple[int, str]:
    found, last = _REMEMBERED.search(response), _LAST.search(response)
    if found is None:
        return 0, ""
    return 1 if found[1] else int(found[2]), last[1] if last else ""
