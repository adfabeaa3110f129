"""The load, a process of its own: `python -m tests.chaos.load`.

The first line of its input is its order (`Order`, JSON); every further line a command. It answers
with one line a second: what it has done so far. At the end of its input it finishes.
"""

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from redis.exceptions import RedisError

from api.core.ids import EPOCH_MS
from tests.chaos.client import Client, Person, Talk
from tests.chaos.history import Answered, History
from tests.chaos.log_poison import LogPoison
from tests.chaos.people import join
from tests.chaos.readers import Reader
from tests.chaos.wire import Wire
from tests.chaos.writers import Writer, seeded

logger = logging.getLogger(__name__)

#: After the last command: conversations that are read once more.
_LAST_READS_MOST: Final = 400
#: After 30 s an answer is stored whose process is gone; longer while other faults heal.
_RESCUE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """What a load is to do."""

    ports: list[int]
    history: str
    prefix: str
    seed: int
    people: int
    writers: int  #: of each person
    readers: int
    writes_per_second: float
    reads_per_second: float
    log_url: str
    patience_seconds: float = 60.0


class Load:
    """All people, and what they do."""

    def __init__(self, order: Order, history: History) -> None:
        rng = seeded(order.seed, order.prefix)
        self._order = order
        self._stopping = asyncio.Event()
        self._reading = asyncio.Event()
        self._client = Client(Wire(order.ports, rng), history, rng, order.prefix)
        self._client.patience_seconds = order.patience_seconds
        self._people: list[Person] = []
        self._poison = LogPoison(order.log_url, self._client)

    async def run(self) -> None:
        """Work until the input ends."""
        self._people = list(
            await asyncio.gather(
                *(
                    join(self._client.wire, f"{self._order.prefix}{self._order.seed}.{n}")
                    for n in range(self._order.people)
                )
            )
        )
        count = len(self._people) * self._order.writers
        pause = count / self._order.writes_per_second
        writers = [
            Writer(self._client, person, self._people, pause)
            for person in self._people
            for _ in range(self._order.writers)
        ]
        pause = self._order.readers / self._order.reads_per_second
        readers = [Reader(self._client, self._people, pause) for _ in range(self._order.readers)]
        writing = [asyncio.create_task(w.run(self._stopping)) for w in writers]
        reading = [asyncio.create_task(r.run(self._reading)) for r in readers]
        telling = asyncio.create_task(self._tell())
        await self._obey()
        self._stopping.set()
        await asyncio.gather(*writing)
        self._reading.set()
        await asyncio.gather(*reading)
        await self._see_answers_end()
        await self._read_everything()
        telling.cancel()
        self._say()

    async def _obey(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self._do(json.loads(line))

    def _do(self, command: dict[str, Any]) -> None:
        match command:
            case {"do": "abandon", "part": part}:
                self._client.abandons = part
            case {"do": "poison", "entries": entries}:
                try:
                    self._poison.put(self._people, entries)
                except RedisError as error:
                    logger.warning("no poison: %s", error)
            case _:
                raise ValueError("an unknown command")

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._say()

    def _say(self) -> None:
        told: dict[str, Any] = asdict(self._client.tally) | {"at": time.monotonic()}
        sys.stdout.write(f"{json.dumps(told)}\n")
        sys.stdout.flush()

    async def _see_answers_end(self) -> None:
        """Wait for answers that were shown in part: another process may have to store them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_RESCUE_SECONDS):
                for turn, write in self._client.cut.items():
                    while await self._client.is_running(turn, write):  # noqa: ASYNC110 - polled
                        await asyncio.sleep(0.5)
        now_ms = time.time() * 1000 - EPOCH_MS
        for turn, write in self._client.cut.items():
            if turn >> 12 > now_ms and await self._client.is_running(turn, write):
                pending = Answered(time.monotonic(), write.op, "unknown", pending=True)
                self._client.history.add(pending)

    async def _read_everything(self) -> None:
        reader = Reader(self._client, self._people, 1.0)
        owned = [(p, talk) for p in self._people for talk in [*p.talks, *p.gone]]
        at_once = asyncio.Semaphore(16)

        async def read(person: Person, talk: Talk) -> None:
            # One that was lost with everysec is waited for each time, if nothing came after it.
            async with at_once:
                for _ in range(10):
                    if await reader.read_all(person, talk):
                        break
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(read(*one) for one in owned[:_LAST_READS_MOST]))


def main() -> None:
    """Read the order and follow it, to its end or until SIGTERM; either way all history is kept."""
    order = Order(**json.loads(sys.stdin.readline()))
    with History(Path(order.history)) as history, suppress(asyncio.CancelledError):
        uvloop.run(_until_told(Load(order, history).run()))


async def _until_told(running: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(running)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


if __name__ == "__main__":
    main()
