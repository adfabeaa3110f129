"""Methods of the client for threads: each is made of the function that builds its call."""

import functools
from collections.abc import Callable, Iterator
from typing import Generic, ParamSpec, Protocol, TypeVar

from verbatim_client.call import Call, Page
from verbatim_client.models import ChatAnswer
from verbatim_client.streams import Event

P = ParamSpec("P")
T = TypeVar("T")


class Sender(Protocol):
    """What these methods need of a client."""

    def send(self, call: Call[T]) -> T:
        """Make a call, and return what is answered."""
        ...

    def send_streamed(self, call: Call[ChatAnswer]) -> Iterator[Event]:
        """Make a call, and yield its answer as it is made."""
        ...


class Method(Generic[P, T]):
    """Makes a call and returns what is answered."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build

    def __get__(self, client: Sender, owner: type | None = None) -> Callable[P, T]:
        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.send(self._build(*args, **kwargs))

        return method


class Listing(Generic[P, T]):
    """Yields the items of a list, page after page."""

    def __init__(self, build: Callable[P, Call[Page[T]]]) -> None:
        self._build = build

    def __get__(self, client: Sender, owner: type | None = None) -> Callable[P, Iterator[T]]:
        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            then: Call[Page[T]] | None = self._build(*args, **kwargs)
            while then is not None:
                page = client.send(then)
                yield from page.items
                then = page.then

        return method


class Streaming(Generic[P]):
    """Yields the events of an answer."""

    def __init__(self, build: Callable[P, Call[ChatAnswer]]) -> None:
        self._build = build

    def __get__(self, client: Sender, owner: type | None = None) -> Callable[P, Iterator[Event]]:
        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[Event]:
            return client.send_streamed(self._build(*args, **kwargs))

        return method
