"""Bodies of a model's server that are no answer, bounded before anybody reads them whole.

The SDK does so with an error's, and its HTTP client with a redirection's. (An answer's is bounded
while it is decoded, and decompressed in steps of 1 MiB at most.)
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

#: Bytes that are read.
MOST_BYTES: Final = 64 * 1024
#: The same of a body that is compressed: it may become a thousand times as large.
COMPRESSED_MOST_BYTES: Final = 4 * 1024


async def shorten_unless_answer(response: httpx2.Response) -> None:
    """Have only the beginning read of a body that is no answer; a hook of the HTTP client."""
    if response.is_success or not isinstance(response.stream, httpx2.AsyncByteStream):
        return
    is_compressed = response.headers.get("content-encoding", "identity") != "identity"
    most = COMPRESSED_MOST_BYTES if is_compressed else MOST_BYTES
    response.stream = _Head(response.stream, most)


class _Head(httpx2.AsyncByteStream):
    """The beginning of a body."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            yield chunk[: self._most - size]
            size += len(chunk)
            if size >= self._most:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()
