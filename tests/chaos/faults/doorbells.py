"""Celery: its messages are lost and tripled, its keys vanish, its broker is down."""

from typing import ClassVar, Final

from tests.chaos.faults.base import Fault, Pest
from tests.chaos.site import BROKER_DATABASE, NAMESPACE

_QUEUE: Final = f"{NAMESPACE}:doorbell"


class _CeleryFault(Fault):
    target: ClassVar[str] = "celery"


class DoorbellsLost(Pest):
    """Every doorbell is lost, for a minute."""

    name = "celery: every doorbell lost"
    target = "celery"
    seconds = 60.0
    brief_seconds = 6.0
    pause_seconds = 0.002

    def once(self) -> None:
        with self.site.client(BROKER_DATABASE) as client:
            client.delete(_QUEUE)


class DoorbellsTripled(Pest):
    """Far more doorbells than anybody rang."""

    name = "celery: every doorbell tripled"
    target = "celery"
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
