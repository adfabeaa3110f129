"""Answers that are streamed for as long as the session lasts that asked for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

#: The extension of an ASGI scope that closes the connection at once (`api.http.protocol`).
ABORT: Final = "verbatim.abort"


class SessionStream(StreamingResponse):
    """A streamed answer. When its session ends, so does its connection, in the middle of a word.

    `until_ended` waits for the session's end. A reader that is slow keeps the stream waiting to
    send, so it is cancelled from outside; what was not sent by then is dropped.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        *,
        until_ended: Callable[[], Awaitable[None]],
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._until_ended = until_ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        streaming = asyncio.ensure_future(super().__call__(scope, receive, send))
        ended = asyncio.ensure_future(self._until_ended())
        try:
            await asyncio.wait([streaming, ended], return_when=asyncio.FIRST_COMPLETED)
            if streaming.done():
                await streaming
            else:
                _abort(scope)
        finally:
            streaming.cancel()
            ended.cancel()
            await asyncio.gather(streaming, ended, return_exceptions=True)


def _abort(scope: Scope) -> None:
    connection = scope.get("extensions", {}).get(ABORT)
    if connection is None:  # another server's: this closes it, with a line in its log
        raise ConnectionAbortedError
    connection["now"]()
