"""What running turns say, on its way to Redis: pieces are gathered, never one fsync each.

Watchers in this process get it as soon as it is written.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from api.chat.parts import Part
from api.chat.streaming.subscriber import TurnSubscriber
from api.core import ids, tasks
from api.core.errors import Unavailable
from api.core.turns import Kind, Said, TurnName, said_arguments
from api.writes.async_log import AsyncLog

logger = logging.getLogger(__name__)

#: What the script answers to an entry, besides 1: the lease is another's; a stop was requested.
NOT_MINE: Final = 0
SAID_AND_STOPPED: Final = 2

#: How long pieces are gathered. A tenth of a second looks continuous, and halves the CPU per piece
#: against 40 ms.
LINGER_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 0.5


class _Outgoing:
    """What one turn has to say: entries that may have been sent, and text that was not."""

    def __init__(self, name: TurnName, token: str, on_lost: Callable[[], None]) -> None:
        self.name = name
        self.token = token
        self.on_lost = on_lost
        self.entries: list[Said] = []
        self.gathered: list[str] = []
        self.length = 0
        self.parts = 0
        #: Nothing more is said here, and no end.
        self.is_left = False

    def form(self) -> None:
        """Make one delta of what was gathered. Once formed it stays, so that it can be resent."""
        if self.gathered:
            text = "".join(self.gathered)
            self.gathered.clear()
            self.length += len(text)
            self.entries.append(Said(self.length, "delta", text))

    def tell(self, part: Part) -> None:
        """Say a part, after the text before it."""
        self.form()
        told = json.dumps({"index": self.parts, "part": part}, ensure_ascii=False)
        self.entries.append(Said(self.length, "part", told))
        self.parts += 1

    def close(self, kind: Kind, text: str) -> None:
        """Say the last thing, after everything else."""
        self.form()
        self.entries.append(Said(self.length, kind, text))


class TurnPublisher:
    """Writes what all of a process's turns say, in one call after the other."""

    def __init__(self, log: AsyncLog, subscriber: TurnSubscriber) -> None:
        self._log = log
        self._subscriber = subscriber
        self._outgoing: dict[int, _Outgoing] = {}
        self._spoken = asyncio.Event()
        #: A turn's first piece and its end do not wait for company.
        self._urgent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="turn-publisher")

    async def stop(self) -> None:
        """Write what is left, then end."""
        if self._task is not None:
            await tasks.end(self._task)
        with suppress(Unavailable):
            await self._flush()

    def open(self, name: TurnName, token: str, on_lost: Callable[[], None]) -> None:
        """Let a turn speak. `on_lost` is called when its lease is no longer the caller's."""
        self._outgoing[name.id] = _Outgoing(name, token, on_lost)

    def say(self, turn_id: int, text: str) -> None:
        """Have a piece of the answer written soon. Never waits."""
        if outgoing := self._outgoing.get(turn_id):
            if not outgoing.length and not outgoing.gathered:
                self._urgent.set()
            outgoing.gathered.append(text)
            self._spoken.set()

    def tell(self, turn_id: int, part: Part) -> None:
        """Have a part beside the text written soon. Never waits."""
        if outgoing := self._outgoing.get(turn_id):
            outgoing.tell(part)
            self._spoken.set()

    def close(self, turn_id: int, kind: Kind, text: str) -> None:
        """Have the turn's end written, after all its pieces; that gives the lease up."""
        if outgoing := self._outgoing.get(turn_id):
            outgoing.close(kind, text)
            self._urgent.set()
            self._spoken.set()

    def leave(self, turn_id: int) -> None:
        """Say no more of a turn than was said already: another attempt tells its end."""
        if outgoing := self._outgoing.get(turn_id):
            outgoing.form()
            outgoing.is_left = True
            if not outgoing.entries:
                del self._outgoing[turn_id]

    async def _run(self) -> None:
        while True:
            await self._spoken.wait()
            self._spoken.clear()
            self._urgent.clear()
            try:
                await self._flush()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._urgent.wait(), LINGER_SECONDS)
            except Unavailable as error:
                logger.warning("what turns say was not written: %s", type(error.__cause__).__name__)
                self._spoken.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _flush(self) -> None:
        for outgoing in self._outgoing.values():
            outgoing.form()
        sent = [
            (outgoing, said) for outgoing in self._outgoing.values() for said in outgoing.entries
        ]
        if not sent:
            return
        arguments: list[str | int] = []
        for outgoing, said in sent:
            arguments += said_arguments(outgoing.name, outgoing.token, said)
        at = {ids.partition_of(outgoing.name.id) for outgoing, _ in sent}
        answers = await self._log.run("say", *arguments, at=at)
        for (outgoing, said), answer in zip(sent, answers, strict=True):
            outgoing.entries.remove(said)
            self._written(outgoing, said, answer)

    def _written(self, outgoing: _Outgoing, said: Said, answer: int) -> None:
        is_last = said.kind not in {"delta", "part"}
        if answer != NOT_MINE:
            self._subscriber.written(outgoing.name.id, said, stop_asked=answer == SAID_AND_STOPPED)
        elif not is_last:
            outgoing.on_lost()
        if is_last or answer == NOT_MINE or (outgoing.is_left and not outgoing.entries):
            self._outgoing.pop(outgoing.name.id, None)
