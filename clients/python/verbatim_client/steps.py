"""What a call's course asks of its driver, and what it is told in return.

A course is a generator: it yields a step, and is sent what came of it. It does no input or output
itself, so the clients for threads and for asyncio share every decision.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from verbatim_client.errors import NoAnswer

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A request, complete but for the server's address."""

    method: str
    path: str
    query: list[tuple[str, Any]]
    headers: dict[bytes, bytes]
    content: bytes | None
    patience: int


@dataclass(frozen=True)
class Reply:
    """An answer; that of a stream which was opened has no body yet."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Send:
    """Send a request and read its answer: a `Reply` or a `NoAnswer`."""

    request: Request


@dataclass(frozen=True)
class Open:
    """Send a request and leave the body of a 200 to be read: a `Reply` or a `NoAnswer`."""

    request: Request


@dataclass(frozen=True)
class ReadOn:
    """Read more of what was opened: bytes, none at its end, or a `NoAnswer`."""


@dataclass(frozen=True)
class Pause:
    """Do nothing for some seconds."""

    seconds: float


@dataclass(frozen=True)
class Renew:
    """Get new tokens, unless another call just did: `stale` is the one not to be used."""

    stale: str | None


@dataclass(frozen=True)
class Show(Generic[T]):
    """Give the caller an event."""

    event: T


Outcome: TypeAlias = Reply | NoAnswer
Course: TypeAlias = Generator[Send | Pause | Renew, Any, T]
Stream: TypeAlias = Generator[Open | ReadOn | Pause | Renew | Show[T], Any, None]
