"""What a fault is, and what it is given to do its harm."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from redis.exceptions import RedisError

from tests.chaos.history import History
from tests.chaos.load_process import LoadProcess
from tests.chaos.site import Site
from tests.support.proxy import Link, Moment, Trap

#: How long a trap waits for a request that springs it.
TRAP_SECONDS: Final = 3.0
#: So many that wait in vain wait for something that is never said.
BLIND_TRAPS: Final = 6
#: With the end that it has in PostgreSQL's protocol: READ COMMITTED begins every transaction.
COMMIT: Final = b"COMMIT\0"
#: A message in an accept call: its entry's head begins so.
ADD: Final = b"\r\nadd "


@dataclass(slots=True)
class Traps:
    """How many traps each fault set, and how many sprang."""

    laid: Counter[str] = field(default_factory=Counter)
    sprung: Counter[str] = field(default_factory=Counter)

    @property
    def blind(self) -> list[str]:
        """Faults that never happened, though so many traps waited for them."""
        return [f for f, count in self.laid.items() if count >= BLIND_TRAPS and not self.sprung[f]]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where faults happen."""

    site: Site
    load: LoadProcess
    rng: random.Random
    history: History
    #: No other fault is at work.
    alone: bool
    #: What came of overload.
    floods: list[dict[str, Any]]
    traps: Traps


class Fault(ABC):
    """One fault: `inject` begins it, `heal` ends it `seconds` later, whatever else has broken."""

    name: ClassVar[str]
    #: What it hurts. Faults that go together hurt different things.
    target: ClassVar[str]
    #: How long it lasts; `brief_seconds` in a short campaign.
    seconds: ClassVar[float] = 3.0
    brief_seconds: ClassVar[float] = 1.0

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.site = stage.site
        self.rng = stage.rng

    @classmethod
    def missing(cls, site: Site) -> str:
        """Say what this machine lacks for it, or nothing."""
        del site
        return ""

    @abstractmethod
    async def inject(self) -> None:
        """Begin."""

    async def heal(self) -> None:  # noqa: B027 - many faults are over as soon as they happened
        """End."""

    async def spring(
        self, link: Link, needle: bytes, moment: Moment, then: Callable[[], None] = lambda: None
    ) -> None:
        """Set a trap for a request, and wait a while for one to come."""
        sprung = asyncio.Event()

        def act() -> None:
            then()
            self.stage.traps.sprung[self.name] += 1
            sprung.set()

        self.stage.traps.laid[self.name] += 1
        link.trap = Trap(needle, moment, act)
        with suppress(TimeoutError):
            async with asyncio.timeout(TRAP_SECONDS):
                await sprung.wait()
        link.trap = None


class Pest(Fault):
    """A fault that goes on doing something until it is healed."""

    pause_seconds: ClassVar[float]

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._going_on: asyncio.Task[None] | None = None

    @abstractmethod
    def once(self) -> None:
        """Do it once; called in a thread."""

    async def inject(self) -> None:
        """Begin."""
        self._going_on = asyncio.create_task(self._go_on())

    async def heal(self) -> None:
        """End."""
        if self._going_on is not None:
            self._going_on.cancel()
            await asyncio.wait([self._going_on])

    async def _go_on(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                await asyncio.to_thread(self.once)
            await asyncio.sleep(self.pause_seconds)
