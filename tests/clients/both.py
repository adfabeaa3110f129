"""The two clients as one: what asyncio's does is waited for, so that both run the same tests."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from verbatim_client import AsyncClient, Client


class _Waiting:
    """Looks like `Client`, and is an `AsyncClient`."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def method(*args: Any, **kwargs: Any) -> Any:
            made = found(*args, **kwargs)
            if isinstance(made, AsyncClient):
                return _Waiting(made, self._runner)
            if inspect.isasyncgen(made):
                return self._items(made)
            return self._runner.run(made)

        return method

    def _items(self, made: Any) -> Iterator[Any]:
        end = object()
        try:
            while (item := self._runner.run(_next(made, end))) is not end:
                yield item
        finally:
            self._runner.run(made.aclose())


async def _next(items: Any, end: object) -> Any:
    return await anext(items, end)


@contextmanager
def connected(kind: str, url: str, key: str | None = None, **options: Any) -> Iterator[Client]:
    """Yield a client of a kind, `threads` or `asyncio`."""
    if kind == "threads":
        with Client(url, key, **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        waiting: Any = _Waiting(AsyncClient(url, key, **options), runner)
        yield waiting
        waiting.close()
