"""The contestants of streaming: the app with a model that talks as much as is wanted."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from api.chat.answers import Answered
from api.chat.streaming.events import Delta, Event, Started
from api.core.caller import Caller
from api.core.settings import Settings
from api.core.turns import File, TurnMessage, TurnName


@dataclass(frozen=True, slots=True)
class Talker:
    """Says so many words, one after the other."""

    words: int
    word_ms: float

    async def answer(
        self, recent: Sequence[TurnMessage], message: str, files: Sequence[File] = ()
    ) -> AsyncGenerator[str]:
        for _ in range(self.words):
            if self.word_ms:
                await asyncio.sleep(self.word_ms / 1000)
            yield "another "

    async def title(self, message: str, response: str) -> None:
        """Offer none."""

    async def close(self) -> None:
        """Nothing is open."""


def make_talker(_: Settings) -> Talker:
    """Make the model that `BENCH_WORDS` and `BENCH_WORD_MS` ask for."""
    return Talker(int(os.environ["BENCH_WORDS"]), float(os.environ["BENCH_WORD_MS"]))


@dataclass(frozen=True, slots=True)
class UnloggedChat:
    """Passes on what the model says, and keeps nothing of it."""

    talker: Talker

    async def send(
        self,
        caller: Caller,
        conversation_id: int,
        message: str,
        key: str | None,
        **_again: int | None,
    ) -> AsyncIterator[Event]:
        """Return a turn's events, as api.chat.streaming.chat does; nothing is said again."""
        return self._events(
            TurnName(caller.user_id, conversation_id, time.time_ns() % 2**50), message
        )

    async def _events(self, name: TurnName, message: str) -> AsyncIterator[Event]:
        yield Started(name, after=0)
        whole = ""
        async for piece in self.talker.answer([], message):
            whole += piece
            yield Delta(len(whole), piece)
        yield Answered(name.id, name.id + 1, whole, "stored")
