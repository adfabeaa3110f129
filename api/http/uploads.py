"""Files on their way in: each of a bounded size, and all of one process together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

from api.core.errors import BadRequest, TooLarge, Unavailable
from api.http.protocol import slow_body

#: Bytes of all files that one process holds: those it is being sent, and those it is storing.
HELD_MOST_BYTES: Final = 256 * 1024 * 1024
#: Files of one user that are uploaded at a time; more wait.
UPLOADS_PER_USER: Final = 2
#: Bytes of a file that must come in the time of a request (30 s): some 2 kB/s. Of each of two
#: files at a time, 100 kbit/s bring nearly three times as much.
LEAST_BYTES: Final = 64 * 1024


class Uploads:
    """The files that one process is being sent."""

    def __init__(self, file_most_bytes: int) -> None:
        self._file_most_bytes = file_most_bytes
        self._held_bytes = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[bytes]:
        """Yield a request's body, which counts as held until the end.

        Raises TooLarge, BadRequest where it was cut off, Unavailable where too much is held.
        """
        too_large = TooLarge(f"a file has at most {self._file_most_bytes} bytes")
        declared = request.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > self._file_most_bytes:
            raise too_large
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in slow_body(request, LEAST_BYTES):
                size += len(piece)
                self._held_bytes += len(piece)
                pieces.append(piece)
                if size > self._file_most_bytes:
                    raise too_large
                if self._held_bytes > HELD_MOST_BYTES:
                    raise Unavailable("too many files are being uploaded")
            yield b"".join(pieces)
        except ClientDisconnect as gone:
            raise BadRequest("the file was cut off") from gone
        finally:
            self._held_bytes -= size
