"""Methods of the client for asyncio: each is made of the function that builds its call."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, ParamSpec, Protocol, TypeVar

from verbatim_client.call import Call, Page
from verbatim_client.models import ChatAnswer
from verbatim_client.streams import Event

P = ParamSpec("P")
T = TypeVar("T")


class AsyncSender(Protocol):
    """What these methods need of a client."""

    async def send(self, call: Call[T]) -> T:
        """Make a call, and return what is answered."""
        ...

    def send_streamed(self, call: Call[ChatAnswer]) -> AsyncIterator[Event]:
        """Make a call, and yield its answer as it is made."""
        ...


class AsyncMethod(Generic[P, T]):
    """Makes a call and returns what is answered."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build

    def __get__(self, client: AsyncSender, owner: type | None = None) -> Callable[P, Awaitable[T]]:
        @functools.wraps(self._build)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await client.send(self._build(*args, **kwargs))

        return method


class AsyncListing(Generic[P, T]):
    """Yields the items of a list, page after page."""

    def __init__(self, build: Callable[P, Call[Page[T]]]) -> None:
        self._build = build

    def __get__(
        self, client: AsyncSender, owner: type | None = None
    ) -> Callable[P, AsyncIterator[T]]:
        @functools.wraps(self._build)
        async def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            then: Call[Page[T]] | None = self._build(*args, **kwargs)
            while then is not None:
                page = await client.send(then)
                for item in page.items:
                    yield item
                then = page.then

        return method


class AsyncStreaming(Generic[P]):
    """Yields the events of an answer."""

    def __init__(self, build: Callable[P, Call[ChatAnswer]]) -> None:
        self._build = build

    def __get__(
        self, client: AsyncSender, owner: type | None = None
    ) -> Callable[P, AsyncIterator[Event]]:
        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Event]:
            return client.send_streamed(self._build(*args, **kwargs))

        return method
