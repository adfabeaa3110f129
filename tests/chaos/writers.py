"""People who write: chat turns, raw messages, renames, deletes, and a few things they may not."""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from tests.chaos import people, texts
from tests.chaos.client import Client, Person, Talk, Write
from tests.chaos.history import Answered

#: A person keeps so many conversations, and mostly talks in the first.
TALKS_MOST: Final = 5
#: Weights of what a writer does next.
_MIX: Final = {
    "message": 40,
    "turn": 38,
    "stream": 6,
    "sign_out": 0.4,
    "change_password": 0.3,
    "poison": 0.5,
    "rename": 5,
    "open": 2,
    "delete": 0.4,
    "close": 0.5,
    "repeat": 4,
    "conflict": 1.5,
    "trespass": 1.5,
}
#: How often somebody goes on talking in a conversation that was deleted.
_TOO_LATE: Final = 0.7
#: How often a stream that was cut is asked for again.
_AGAIN: Final = 0.5
#: How far into an answer the end of its session is asked for. An answer of many words takes longer.
_ANSWER_SECONDS: Final = 0.1
#: How many of these answers are streamed.
_STREAMED: Final = 0.7


class Writer:
    """One of a person's clients. `due_seconds` is its mean pause between two requests."""

    def __init__(
        self, client: Client, person: Person, everybody: list[Person], due_seconds: float
    ) -> None:
        self._client = client
        self._rng = client.rng
        self._person = person
        self._everybody = everybody
        self._due_seconds = due_seconds
        self._last: tuple[Write, Answered] | None = None
        self._does: dict[str, Callable[[], Awaitable[object]]] = {
            "message": self._message,
            "turn": self._turn,
            "stream": self._stream,
            "sign_out": lambda: self._leave(people.sign_out),
            "change_password": lambda: self._leave(people.change_password),
            "poison": self._poison,
            "rename": self._rename,
            "open": self._open,
            "delete": self._delete,
            "close": self._close,
            "repeat": self._repeat,
            "conflict": self._conflict,
            "trespass": self._trespass,
        }

    async def run(self, stopping: asyncio.Event) -> None:
        """Write until told to stop."""
        due = time.monotonic() + self._rng.random() * self._due_seconds
        while not stopping.is_set():
            due += self._rng.expovariate(1 / self._due_seconds)
            late = due - time.monotonic()
            # Whoever was held up by a fault does not make up for all of it.
            due = max(due, time.monotonic() - 2.0)
            if late > 0:
                await asyncio.sleep(late)
            await self._do_something()

    async def _do_something(self) -> None:
        if not self._person.talks:
            await self._open()
            return
        await self._does[self._rng.choices(list(_MIX), list(_MIX.values()))[0]]()

    async def _message(self) -> None:
        talk = self._some_talk()
        if talk is not None:
            await self._say(talk, "message", self._rng.choice(["user", "user", "assistant"]))

    async def _poison(self) -> None:
        talk = self._some_talk()
        if talk is not None:
            await self._say(talk, "poison", "user", texts.POISON)

    async def _turn(self) -> None:
        talk = self._some_talk(writable=True)
        if talk is not None:
            await self._write(talk, self._a_turn(talk))

    async def _stream(self) -> None:
        talk = self._some_talk(writable=True)
        if talk is None:
            return
        write = replace(self._a_turn(talk), key=self._key(), streamed=True)
        answered = await self._client.write(write)
        is_cut = answered.outcome == "ok" and not answered.reply
        if is_cut and write.key and self._rng.random() < _AGAIN:
            await self._client.write(write)

    async def _leave(self, leave: Callable[[Client, Person], Awaitable[None]]) -> None:
        """End the session in the middle of an answer, which is not asked for again."""
        talk = self._some_talk(writable=True)
        if talk is None or self._person.leaving.locked():
            return
        async with self._person.leaving, asyncio.TaskGroup() as doing:
            write = self._a_turn(talk, texts.many_words)
            write = replace(write, streamed=self._rng.random() < _STREAMED)
            doing.create_task(self._client.attempt(write))
            await asyncio.sleep(self._rng.random() * _ANSWER_SECONDS)
            await leave(self._client, self._person)

    def _a_turn(
        self, talk: Talk, text_of: Callable[[random.Random, str], str] = texts.text
    ) -> Write:
        op = self._client.name()
        text = text_of(self._rng, op)
        path = f"/api/chat/sess_{talk.id:x}/message"
        return Write(op, "turn", self._person, "POST", path, {"message": text}, talk, "user", text)

    async def _say(self, talk: Talk, kind: str, role: str, poisonous: str = "") -> None:
        op = self._client.name()
        text = texts.text(self._rng, op, poisonous)
        path = f"/api/conversations/{talk.id}/messages"
        body = {"role": role, "content": text}
        is_poison = kind == "poison"
        await self._write(
            talk,
            Write(
                op,
                "poison" if is_poison else "message",
                self._person,
                "POST",
                path,
                body,
                talk,
                role,
                text,
            ),
        )

    async def _rename(self) -> None:
        talk = self._some_talk()
        if talk is None:
            return
        op = self._client.name()
        body = {"title": texts.title(self._rng, op)}
        path = f"/api/conversations/{talk.id}"
        await self._write(talk, Write(op, "rename", self._person, "PATCH", path, body, talk))

    async def _delete(self) -> None:
        talk = self._some_talk()
        if talk is None or len(self._person.talks) == 1:
            return
        talk.may_be_deleted = True
        self._person.talks.remove(talk)
        self._person.gone.append(talk)
        path = f"/api/conversations/{talk.id}"
        write = Write(self._client.name(), "delete", self._person, "DELETE", path, None, talk)
        await self._write(talk, write)
        if self._rng.random() < _TOO_LATE:
            await asyncio.sleep(self._rng.random())
            await self._say(talk, "message", "user")

    async def _close(self) -> None:
        talk = self._some_talk(writable=True)
        if talk is None or len(self._person.talks) == 1:
            return
        talk.closed = True
        path = f"/api/chat/sess_{talk.id:x}"
        write = Write(self._client.name(), "close", self._person, "DELETE", path, None, talk)
        await self._write(talk, write)
        if talk in self._person.talks:
            self._person.talks.remove(talk)
            self._person.gone.append(talk)

    async def _open(self) -> None:
        op = self._client.name()
        if self._rng.random() < 0.5:
            write = Write(op, "open", self._person, "POST", "/api/chat/start", None)
        else:
            body = {"title": texts.title(self._rng, op)}
            write = Write(op, "open", self._person, "POST", "/api/conversations/", body)
        answered = await self._client.write(replace(write, key=self._key()))
        if answered.outcome != "ok":
            return
        self._person.talks.insert(0, Talk(answered.conversation, answered.entry))
        while len(self._person.talks) > TALKS_MOST:
            self._person.gone.append(self._person.talks.pop())

    async def _repeat(self) -> None:
        """Send what was answered once more, with its key: nothing may come of it."""
        if self._last is not None:
            await self._client.attempt(self._last[0])

    async def _conflict(self) -> None:
        """Send something else with a key that was used: it must be refused, or be unavailable."""
        if self._last is None or self._last[0].kind != "message":
            return
        write = self._last[0]
        other = {**write.body, "content": f"{write.body['content']} (other)"}
        conflicting = replace(write, op=self._client.name(), body=other, text="")
        headers = {"Authorization": f"Bearer {self._person.token}", "Idempotency-Key": write.key}
        try:
            response = await self._client.wire.ask("POST", write.path, other, headers)
        except Exception:  # noqa: BLE001 - whatever went wrong, no answer was a wrong one
            return
        if response.status < HTTPStatus.BAD_REQUEST:
            self._client.alarm("doubled", f"{conflicting.op}: one key took two bodies")

    async def _trespass(self) -> None:
        """Write into somebody else's conversation: it must be refused."""
        other = self._rng.choice(self._everybody)
        if other is self._person or not other.talks:
            return
        talk = self._rng.choice(other.talks)
        op = self._client.name()
        text = texts.text(self._rng, op)
        path = f"/api/conversations/{talk.id}/messages"
        body = {"role": "user", "content": text}
        await self._client.attempt(
            Write(op, "message", self._person, "POST", path, body, talk, "user", text)
        )

    async def _write(self, talk: Talk, write: Write) -> None:
        write = replace(write, key=self._key())
        answered = await self._client.write(write)
        if answered.outcome == "ok":
            talk.last_entry = max(talk.last_entry, answered.entry, answered.reply)
            if write.key and not talk.may_be_deleted:
                self._last = write, answered

    def _key(self) -> str:
        """Most requests carry a key; without one a retry would be a second message."""
        return secrets.token_hex(8) if self._rng.random() < 0.85 else ""

    def _some_talk(self, *, writable: bool = False) -> Talk | None:
        """Choose a conversation, the first one mostly, so that some get long."""
        talks = [talk for talk in self._person.talks if not (writable and talk.closed)]
        if not talks:
            return None
        return talks[min(int(self._rng.expovariate(1.2)), len(talks) - 1)]


def seeded(seed: int, purpose: str) -> random.Random:
    """Return a generator of its own for each purpose, the same for the same seed."""
    return random.Random(f"{seed}/{purpose}")
