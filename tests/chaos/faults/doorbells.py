"""Celery: its messages are lost and tripled, its keys vanish, its broker is down."""

import asyncio
from contextlib import suppress
from typing import ClassVar, Final

from redis.exceptions import RedisError

from tests.chaos.faults.base import Fault
from tests.chaos.site import BROKER_DATABASE, NAMESPACE

_QUEUE: Final = f"{NAMESPACE}:doorbell"


class _CeleryFault(Fault):
    target: ClassVar[str] = "celery"


class _Pest(_CeleryFault):
    """A fault that goes on doing something until it is healed."""

    pause_seconds: ClassVar[float]

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._going_on: asyncio.Task[None] | None = None

    def once(self) -> None:
        raise NotImplementedError

    async def inject(self) -> None:
        self._going_on = asyncio.create_task(self._go_on())

    async def heal(self) -> None:
        if self._going_on is not None:
            self._going_on.cancel()
            await asyncio.wait([self._going_on])

    async def _go_on(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                await asyncio.to_thread(self.once)
            await asyncio.sleep(self.pause_seconds)


class DoorbellsLost(_Pest):
    """Every doorbell is lost, for a minute."""

    name = "celery: every doorbell lost"
    seconds = 60.0
    brief_seconds = 6.0
    pause_seconds = 0.002

    def once(self) -> None:
        with self.site.client(BROKER_DATABASE) as client:
            client.delete(_QUEUE)


class DoorbellsTripled(_Pest):
    """Far more doorbells than anybody rang."""

    name = "celery: every doorbell tripled"
    seconds = 10.0
    pause_seconds = 0.05

    def once(self) -> None:
        self.site.ring(3)


class BrokerKeysDeleted(_CeleryFault):
    """Everything Celery keeps in its broker is gone."""

    name = "celery: the broker's keys are deleted"

    async def inject(self) -> None:
        await self.site.ask_redis(lambda client: client.flushdb(), BROKER_DATABASE)


class BrokerDown(_CeleryFault):
    """The broker is down while the log is up."""

    name = "celery: the broker is down"
    seconds = 10.0
    brief_seconds = 3.0

    async def inject(self) -> None:
        for node in (*self.site.apis, *self.site.workers):
            node.links["broker"].cut()

    async def heal(self) -> None:
        for node in (*self.site.apis, *self.site.workers):
            node.links["broker"].heal()


FAULTS: Final = (DoorbellsLost, DoorbellsTripled, BrokerKeysDeleted, BrokerDown)
