"""A network that fails on request, in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable
from typing import Self

from tests.support.proxy import Link


class Network:
    """Stands between a browser and the server."""

    def __init__(self, server_port: int) -> None:
        self._link = Link("browser", server_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._link.start(), self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where the server is, by way of this network."""
        return f"http://127.0.0.1:{self._link.port}"

    def break_connections(self) -> None:
        """Break what is open; new connections work."""
        self._do(self._link.drop_all)

    def cut(self) -> None:
        """Let nothing through."""
        self._do(self._link.cut)

    def heal(self) -> None:
        """Let everything through again."""
        self._do(self._link.heal)

    async def _stop(self) -> None:
        await self._link.stop()
        await asyncio.sleep(0.1)  # both sides of what was open close their sockets

    def _do(self, act: Callable[[], None]) -> None:
        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)
