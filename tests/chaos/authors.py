"""What everybody does who writes: choose a conversation, and send until the outcome is known."""

import random
import secrets
from collections.abc import Callable
from dataclasses import replace

from tests.chaos import texts
from tests.chaos.client import Client, Person, Talk, Write
from tests.chaos.history import Answered, Kind


class Author:
    """One of a person's clients."""

    def __init__(self, client: Client, person: Person) -> None:
        self._client = client
        self._rng = client.rng
        self._person = person
        self._last: tuple[Write, Answered] | None = None

    def _a_turn(
        self, talk: Talk, text_of: Callable[[random.Random, str], str] = texts.text
    ) -> Write:
        op = self._client.name()
        text = text_of(self._rng, op)
        path = f"/api/chat/sess_{talk.id:x}/message"
        return Write(op, "turn", self._person, "POST", path, {"message": text}, talk, "user", text)

    def _a_message(self, talk: Talk, role: str, poisonous: str = "") -> Write:
        op = self._client.name()
        text = texts.text(self._rng, op, poisonous)
        kind: Kind = "poison" if poisonous else "message"
        path = f"/api/conversations/{talk.id}/messages"
        body = {"role": role, "content": text}
        return Write(op, kind, self._person, "POST", path, body, talk, role, text)

    async def _write(self, talk: Talk, write: Write, *, keyed: float = 0.85) -> Answered:
        """Send a write, mostly with a key; without one a retry would be a second message."""
        write = replace(write, key=self._key(keyed))
        answered = await self._client.write(write)
        if answered.outcome == "ok":
            talk.last_entry = max(talk.last_entry, answered.entry, answered.reply)
            if write.key and not talk.may_be_deleted:
                self._last = write, answered
        return answered

    def _key(self, keyed: float = 0.85) -> str:
        return secrets.token_hex(8) if self._rng.random() < keyed else ""

    def _some_talk(self, *, writable: bool = False, revised: bool | None = None) -> Talk | None:
        """Choose a conversation, the first one mostly, so that some get long."""
        talks = [
            talk
            for talk in self._person.talks
            if not (writable and talk.closed) and revised in {None, talk.revised}
        ]
        if not talks:
            return None
        return talks[min(int(self._rng.expovariate(1.2)), len(talks) - 1)]
