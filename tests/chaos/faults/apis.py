"""APIs that die, and clients that walk away."""

import asyncio
import signal
from typing import Final

from tests.chaos.faults.base import ADD, Fault

_ABANDONED_PART: Final = 0.4


class ApiKilled(Fault):
    """kill -9, whatever it does."""

    name = "api: kill -9"
    target = "api"

    async def inject(self) -> None:
        self.rng.choice(self.site.apis).kill()


class ApiKilledAfterWrite(Fault):
    """The log has written it, and the API dies before it can say so.

    On a cluster it may be another API that asked: that one never hears the answer.
    """

    name = "api: kill -9 after the write, before the answer"
    target = "api"

    async def inject(self) -> None:
        api = self.rng.choice(self.site.apis)
        await self.spring(await self.site.link_to_log(api), ADD, "answer", api.kill)


class ApiPaused(Fault):
    """SIGSTOP for longer than the log's deadline."""

    name = "api: paused"
    target = "api"
    seconds = 4.0
    brief_seconds = 2.5

    async def inject(self) -> None:
        self.site.apis[0].signal(signal.SIGSTOP)

    async def heal(self) -> None:
        self.site.apis[0].signal(signal.SIGCONT)


class ClientsWalkAway(Fault):
    """Many requests are given up in the middle, and connections break."""

    name = "clients: walk away in mid-request"
    target = "clients"
    seconds = 6.0

    async def inject(self) -> None:
        self.stage.load.command({"do": "abandon", "part": _ABANDONED_PART})
        for _ in range(5):
            await asyncio.sleep(0.1)
            for door in self.site.doors:
                door.drop_all()

    async def heal(self) -> None:
        self.stage.load.command({"do": "abandon", "part": 0.0})


FAULTS: Final = (ApiKilled, ApiKilledAfterWrite, ApiPaused, ClientsWalkAway)
