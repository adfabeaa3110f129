"""Many connections to one server, each with an httpx client of its own.

The time httpx's own pool takes for a request grows with its connections: with 64 of them it sent
231 messages/s where these send 1,356 (httpx 0.28, httpcore's `_assign_requests_to_connections`).
"""

import asyncio
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

#: No answer within this is an unknown outcome.
ANSWER_SECONDS: Final = 15.0
LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


class HttpClients:
    """Clients that take turns; whoever finds none free waits."""

    def __init__(self, url: str, count: int) -> None:
        # Reading the certificates for each of them would take seconds.
        tls = httpx.create_ssl_context() if url.startswith("https:") else False
        self._all = [_client(url, tls) for _ in range(count)]
        # The last one used is the next: its connection is warm.
        self._free: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        for client in self._all:
            self._free.put_nowait(client)

    async def request(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """Send one request, once. Raises httpx's RequestError without an answer."""
        client = await self._free.get()
        try:
            return await client.request(method, path, **rest)
        finally:
            self._free.put_nowait(client)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._all:
            await client.aclose()


def _client(url: str, tls: ssl.SSLContext | bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        timeout=ANSWER_SECONDS,
        verify=tls,
        # A proxy of the environment has no business between us and this machine.
        trust_env=urlsplit(url).hostname not in LOOPBACK,
    )
