"""People who write: chat turns, messages, renames, deletes, and a few things they may not."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from tests.chaos import people, texts
from tests.chaos.client import Client, Person, Talk, Write
from tests.chaos.revisers import Reviser

#: Weights of what a writer does next.
_MIX: Final = {
    "message": 34,
    "turn": 32,
    "stream": 6,
    "sign_out": 0.4,
    "change_password": 0.3,
    "poison": 0.5,
    "rename": 5,
    "open": 3,
    "delete": 0.4,
    "close": 0.5,
    "repeat": 4,
    "conflict": 1.5,
    "trespass": 1.5,
    "batch": 6,
    "external": 4,
    "race": 2,
    "put": 2.5,
    "remove": 1,
    "truncate": 3,
    "switch": 3.5,
    "fork": 1,
    "replace": 2.5,
    "regenerate": 2,
}
#: So many of the new conversations are there to be changed. No poison comes into these.
_REVISED: Final = 0.5
#: How often somebody goes on talking in a conversation that was deleted.
_TOO_LATE: Final = 0.7
#: How often a stream that was cut is asked for again.
_AGAIN: Final = 0.5
#: How far into an answer the end of its session is asked for. An answer of many words takes longer.
_ANSWER_SECONDS: Final = 0.1
#: How many of these answers are streamed.
_STREAMED: Final = 0.7


class Writer(Reviser):
    """One of a person's clients. `due_seconds` is its mean pause between two requests."""

    def __init__(
        self, client: Client, person: Person, everybody: list[Person], due_seconds: float
    ) -> None:
        super().__init__(client, person)
        self._everybody = everybody
        self._due_seconds = due_seconds
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
            "batch": self._batch,
            "external": self._external,
            "race": self._race,
            "put": self._put,
            "remove": self._remove,
            "truncate": self._truncate,
            "switch": self._switch,
            "fork": self._fork,
            "replace": self._replace,
            "regenerate": self._regenerate,
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
            role = self._rng.choice(["user", "user", "assistant"])
            await self._write(talk, self._a_message(talk, role))

    async def _poison(self) -> None:
        talk = self._some_talk(revised=False)
        if talk is not None:
            await self._write(talk, self._a_message(talk, "user", texts.POISON))

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
            await self._write(talk, self._a_message(talk, "user"))

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
        op, revised = self._client.name(), self._rng.random() < _REVISED
        if revised or self._rng.random() < 0.5:
            # Its tag tells faults to leave it alone that look into PostgreSQL.
            body: dict[str, object] = {"title": texts.title(self._rng, op)}
            if revised:
                body["tags"] = ["revised"]
            write = Write(op, "open", self._person, "POST", "/api/conversations/", body)
        else:
            write = Write(op, "open", self._person, "POST", "/api/chat/start", None)
        answered = await self._client.write(replace(write, key=self._key()))
        if answered.outcome == "ok":
            self._keep(Talk(answered.conversation, answered.entry, revised=revised))

    async def _repeat(self) -> None:
        """Send what was answered once more, with its key: nothing may come of it."""
        if self._last is not None:
            await self._client.attempt(self._last[0])

    async def _conflict(self) -> None:
        """Send something else with a key that was used: it must be refused, or be unavailable."""
        if self._last is None or self._last[0].kind != "message" or self._last[0].elements:
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
        await self._client.attempt(self._a_message(talk, "user"))


def seeded(seed: int, purpose: str) -> random.Random:
    """Return a generator of its own for each purpose, the same for the same seed."""
    return random.Random(f"{seed}/{purpose}")
