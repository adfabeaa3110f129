"""What goes wrong between two processes."""

from collections.abc import Sequence
from typing import ClassVar, Final

from tests.chaos.faults.base import ADD, COMMIT, Fault
from tests.support.proxy import Direction, Link


class _NetworkFault(Fault):
    target: ClassVar[str] = "network"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.hit: Sequence[Link] = ()

    def choose(self) -> Sequence[Link]:
        """Choose one kind of connection, all of them or one."""
        name = self.rng.choice(sorted({link.name for link in self.site.links}))
        links = [link for link in self.site.links if link.name == name]
        self.hit = links if self.rng.random() < 0.5 else [self.rng.choice(links)]
        return self.hit

    async def heal(self) -> None:
        for link in self.hit:
            link.heal()


class Delayed(_NetworkFault):
    """Everything takes 200 ms longer each way."""

    name = "network: 200 ms of delay"

    async def inject(self) -> None:
        for link in self.choose():
            link.delay_seconds = 0.2


class Cut(_NetworkFault):
    """Connections are reset, and new ones too."""

    name = "network: cut"

    async def inject(self) -> None:
        for link in self.choose():
            link.cut()


class _Swallowed(_NetworkFault):
    direction: ClassVar[Direction]
    seconds = 5.0
    brief_seconds = 2.5

    async def inject(self) -> None:
        for link in self.choose():
            link.swallowed = self.direction


class RequestsSwallowed(_Swallowed):
    """One direction is silent: nothing arrives at the server."""

    name = "network: requests are swallowed"
    direction = "up"


class AnswersSwallowed(_Swallowed):
    """One direction is silent: the server does its work, and nobody hears of it."""

    name = "network: answers are swallowed"
    direction = "down"


class _AnswerDropped(_NetworkFault):
    needle: ClassVar[bytes]
    times: ClassVar[int] = 3

    async def link(self) -> Link:
        """Choose a connection."""
        raise NotImplementedError

    async def inject(self) -> None:
        for _ in range(self.times):
            await self.spring(await self.link(), self.needle, "answer")


class LogAnswerDropped(_AnswerDropped):
    """The log takes a group of messages, its answer is lost."""

    name = "network: an answer of the log is dropped"
    needle = ADD

    async def link(self) -> Link:
        return await self.site.link_to_log(self.rng.choice(self.site.apis))


class ApiAnswerDropped(_AnswerDropped):
    """The API takes a message, its answer is lost."""

    name = "network: an answer of the API is dropped"
    needle = b"POST /api/"

    async def link(self) -> Link:
        return self.rng.choice(self.site.doors)


class CommitAnswerDropped(_AnswerDropped):
    """PostgreSQL commits, its answer is lost."""

    name = "network: the answer to a COMMIT is dropped"
    needle = COMMIT

    async def link(self) -> Link:
        return self.rng.choice(self.site.workers).links["postgres"]


FAULTS: Final = (
    Delayed,
    Cut,
    RequestsSwallowed,
    AnswersSwallowed,
    LogAnswerDropped,
    ApiAnswerDropped,
    CommitAnswerDropped,
)
