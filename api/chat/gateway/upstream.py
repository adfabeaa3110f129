"""The endpoint behind the gateway, asked with the bytes of the request, and answering with its own.

What it refuses reaches the caller as it is, but for a key that it does not accept: that is ours.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httpx2

from api.chat.assistants.bodies import shorten_unless_answer
from api.core.errors import BadGateway, GatewayTimeout, SettingsError
from api.core.settings import Settings

DEFAULT_URL: Final = "https://api.openai.com/v1"
#: What of its headers is passed on.
_PASSED: Final = ("content-type", "retry-after", "x-request-id")
_OURS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Answering:
    """An answer that begins."""

    status: int
    headers: dict[str, str]
    chunks: AsyncIterator[bytes]

    @property
    def is_stream(self) -> bool:
        """It comes piece by piece."""
        return self.headers.get("content-type", "").startswith("text/event-stream")


class Upstream:
    """Connections to the endpoint."""

    def __init__(self, settings: Settings) -> None:
        key = settings.openai_api_key
        if key is None and settings.openai_base_url is None:
            raise SettingsError("GATEWAY=on needs OPENAI_BASE_URL, or OPENAI_API_KEY")
        first = settings.openai_timeout_seconds
        silence = max(first, settings.openai_silence_seconds or first)
        self._base = (settings.openai_base_url or DEFAULT_URL).rstrip("/")
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(silence, connect=10.0),
            headers={
                "Authorization": f"Bearer {key.get_secret_value() if key else 'none'}",
                "Accept-Encoding": "identity",
            },
            event_hooks={"response": [shorten_unless_answer]},
        )

    @asynccontextmanager
    async def ask(self, method: str, path: str, body: bytes | None) -> AsyncIterator[Answering]:
        """Ask it; the answer can be read until the context ends.

        Raises BadGateway or GatewayTimeout, also while the answer is read.
        """
        try:
            async with self._client.stream(
                method,
                f"{self._base}/{path}",
                content=body,
                headers={"Content-Type": "application/json"} if body else {},
            ) as response:
                if response.status_code in _OURS:
                    raise BadGateway("the model's provider does not accept the server's key")
                headers = {
                    name: response.headers[name] for name in _PASSED if name in response.headers
                }
                yield Answering(response.status_code, headers, response.aiter_raw())
        except httpx2.TimeoutException as error:
            raise GatewayTimeout("the model did not answer in time") from error
        except httpx2.HTTPError as error:
            raise BadGateway("the model's server cannot be reached or broke off") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
