"""Celery: its messages are lost and tripled, its keys vanish, its broker is down."""

from typing import ClassVar, Final

from tests.chaos.faults.base import Fault, Pest
from tests.chaos.site import BROKER_DATABASE, NAMESPACE
from tests.support.proxy import Link

#: A doorbell on its way into the queue, and into a list that nobody reads. To empty the queue would
#: not do: who waits for it is served at once.
_RUNG: Final = f"LPUSH\r\n$14\r\n{NAMESPACE}:doorbell\r\n".encode()
_LOST_LIST: Final = f"{NAMESPACE}:nowhere!"
_LOST: Final = f"LPUSH\r\n$14\r\n{_LOST_LIST}\r\n".encode()


class _CeleryFault(Fault):
    target: ClassVar[str] = "celery"

    @property
    def links(self) -> list[Link]:
        """Everybody's ways to the broker."""
        return [node.links["broker"] for node in (*self.site.apis, *self.site.workers)]


class DoorbellsLost(_CeleryFault):
    """Every doorbell is lost, for a minute; whoever rang is none the wiser."""

    name = "celery: every doorbell lost"
    seconds = 60.0
    #: A drain that is awake stays so for 5 s of steady load, and needs no doorbell.
    brief_seconds = 12.0

    async def inject(self) -> None:
        for link in self.links:
            link.replaced = _RUNG, _LOST

    async def heal(self) -> None:
        for link in self.links:
            link.replaced = None
        await self.site.ask_redis(lambda client: client.delete(_LOST_LIST), BROKER_DATABASE)


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
        for link in self.links:
            link.cut()

    async def heal(self) -> None:
        for link in self.links:
            link.heal()


FAULTS: Final = (DoorbellsLost, DoorbellsTripled, BrokerKeysDeleted, BrokerDown)
