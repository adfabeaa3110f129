"""People who change what was written: edits, cuts, branches and copies, in conversations for it.

What is to be changed is read first, as a person would. Others write meanwhile, so some of it is
gone by then, and is refused.
"""

import asyncio
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from tests.chaos import texts
from tests.chaos.authors import Author
from tests.chaos.client import Element, Talk, Write
from tests.chaos.history import LAST
from tests.chaos.tables import mark_of

#: A person keeps so many conversations, and mostly talks in the first.
TALKS_MOST: Final = 5
BATCH_MOST: Final = 8
#: So many of the latest messages are in reach.
_REACH: Final = 12
#: How often what is cut off is kept.
_KEPT: Final = 0.8
#: A change of unknown outcome would leave its conversation unjudged.
_ALWAYS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """A message as a person sees it."""

    id: int
    position: int
    op: str
    role: str
    status: str


class Reviser(Author):
    """One of a person's clients, as far as it changes conversations or writes several messages."""

    async def _batch(self) -> None:
        talk = self._some_talk()
        if talk is not None:
            await self._write(talk, self._a_batch(talk))

    async def _external(self) -> None:
        """Add a message that its external id makes one, however often it is sent."""
        talk = self._some_talk()
        if talk is None:
            return
        write = self._a_message(talk, "user")
        body = {**write.body, "external_id": write.op}
        await self._write(talk, replace(write, body=body, external=True), keyed=0.3)

    async def _race(self) -> None:
        """Have two writes with the same `If-Last`, which only one of them can win."""
        talk = self._some_talk()
        latest = await self._latest(talk, fresh=True) if talk is not None else None
        if talk is None or latest is None:
            return
        last = latest[0].id if latest else 0
        both = self._a_message(talk, "user"), self._a_batch(talk)
        async with asyncio.TaskGroup() as racing:
            for write in both:
                racing.create_task(self._write(talk, replace(write, if_last=last)))

    async def _put(self) -> None:
        talk, seen = await self._something()
        if talk is None or seen is None:
            return
        op = self._client.name()
        # Its first mark stays, so that it is known as what it was.
        text = texts.text(self._rng, seen.op, f" edited by #{op}#")
        path = f"/api/conversations/{talk.id}/messages/{seen.id}"
        write = Write(op, "put", self._person, "PUT", path, {"content": text}, talk, text=text)
        await self._write(talk, replace(write, target=seen.id), keyed=_ALWAYS)

    async def _remove(self) -> None:
        talk, seen = await self._something("assistant")
        if talk is None or seen is None:
            return
        path = f"/api/conversations/{talk.id}/messages/{seen.id}"
        write = Write(self._client.name(), "remove", self._person, "DELETE", path, None, talk)
        await self._write(talk, replace(write, target=seen.id, about=seen.op), keyed=_ALWAYS)

    async def _truncate(self) -> None:
        talk, seen = await self._something()
        if talk is None or seen is None:
            return
        keep = self._rng.random() < _KEPT
        query = f"after=true&keep={str(keep).lower()}"
        path = f"/api/conversations/{talk.id}/messages/{seen.id}?{query}"
        write = Write(self._client.name(), "truncate", self._person, "DELETE", path, None, talk)
        await self._write(talk, replace(write, target=seen.id, keep=keep), keyed=_ALWAYS)

    async def _switch(self) -> None:
        talk = self._some_talk(revised=True)
        if talk is None:
            return
        path = f"/api/conversations/{talk.id}/branches"
        found = await self._client.read(self._person, path)
        if found is None or found.status != HTTPStatus.OK:
            return
        fitting = [int(one["id"]) for one in found.json["branches"] if one["fits"]]
        if not fitting:
            return
        branch = self._rng.choice(fitting)
        path = f"{path}/{branch}/switch"
        write = Write(self._client.name(), "switch", self._person, "POST", path, None, talk)
        await self._write(talk, replace(write, target=branch), keyed=_ALWAYS)

    async def _fork(self) -> None:
        talk, seen = await self._something()
        if talk is None or seen is None:
            return
        path, body = f"/api/conversations/{talk.id}/fork", {"position": seen.position}
        write = Write(self._client.name(), "fork", self._person, "POST", path, body)
        answered = await self._client.write(replace(write, target=talk.id, key=self._key(_ALWAYS)))
        if answered.outcome == "ok":
            copy = Talk(answered.conversation, answered.entry, revised=True)
            self._keep(copy)

    async def _replace(self) -> None:
        """Send a turn in the place of an earlier one."""
        talk, seen = await self._something("user", writable=True)
        if talk is None or seen is None:
            return
        write = self._a_turn(talk)
        body = {**write.body, "replaces": seen.id}
        await self._write(talk, replace(write, body=body, target=seen.id), keyed=_ALWAYS)

    async def _regenerate(self) -> None:
        talk = self._some_talk(writable=True, revised=True)
        if talk is None:
            return
        path = f"/api/chat/sess_{talk.id:x}/regenerate"
        write = Write(self._client.name(), "turn", self._person, "POST", path, None, talk, "user")
        await self._write(talk, replace(write, target=LAST), keyed=_ALWAYS)

    def _keep(self, talk: Talk) -> None:
        """Have a new conversation, and leave the oldest ones."""
        self._person.talks.insert(0, talk)
        while len(self._person.talks) > TALKS_MOST:
            self._person.gone.append(self._person.talks.pop())

    def _a_batch(self, talk: Talk) -> Write:
        elements = []
        for _ in range(self._rng.randint(2, BATCH_MOST)):
            op, role = self._client.name(), self._rng.choice(["user", "assistant"])
            elements.append(Element(op, role, texts.text(self._rng, op)))
        messages = [{"role": one.role, "content": one.text} for one in elements]
        path = f"/api/conversations/{talk.id}/messages/batch"
        body, op = {"messages": messages}, self._client.name()
        write = Write(op, "message", self._person, "POST", path, body, talk)
        return replace(write, elements=tuple(elements))

    async def _something(
        self, role: str = "", *, writable: bool = False
    ) -> tuple[Talk | None, _Seen | None]:
        """Choose a conversation that may be changed, and one of its latest messages."""
        talk = self._some_talk(writable=writable, revised=True)
        latest = await self._latest(talk) if talk is not None else None
        found = [
            seen
            for seen in latest or ()
            if seen.op and seen.status in {"stored", "interrupted"} and role in {"", seen.role}
        ]
        return talk, self._rng.choice(found) if found else None

    async def _latest(self, talk: Talk, *, fresh: bool = False) -> list[_Seen] | None:
        """Read the latest messages, the last one first; None where no page came."""
        path = f"/api/conversations/{talk.id}/messages?order=desc&limit={_REACH}"
        if fresh:
            path += f"&read_after={talk.last_entry}"
        page = await self._client.read(self._person, path)
        if page is None or page.status != HTTPStatus.OK:
            return None
        return [_seen(message) for message in page.json["messages"]]


def _seen(message: dict[str, Any]) -> _Seen:
    return _Seen(
        *(message["id"], message["position"], mark_of(message["content"])),
        *(message["role"], message["status"]),
    )
