"""uvicorn's HTTP protocol, with limits on the size of headers, on time and on connections.

uvicorn alone reads headers of any size, and waits for a request without a deadline. Here a
connection that sends nothing, or a request too slowly, is closed. So idle connections stay few,
those of an attacker as well as those that a network dropped.
"""

import asyncio
import http
import itertools
import math
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from httptools import HttpParserError
from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.http.middleware import HEADERS
from api.http.problems import problem_response
from api.http.session_stream import ABORT

#: The extension of an ASGI scope that lets a body take its time.
SLOW_BODY: Final = "verbatim.slow_body"
#: Most bytes of a request's line and headers. Ours have two kilobytes, cookies included.
HEAD_MOST_BYTES: Final = 32 * 1024
#: A request must have arrived whole within this time: 1 MiB at 35 kB/s. Of a body that may be slow,
#: some more must have, time and again; the app's own time does not count then.
REQUEST_SECONDS: Final = 30.0
#: How often it is looked at whether a client takes what is sent: one that took nothing since the
#: last look is given up.
PROGRESS_SECONDS: Final = 15.0
#: What the kernel holds of an answer (Linux doubles it). It reports progress in thirds of that.
SEND_BUFFER_BYTES: Final = 128 * 1024
#: File descriptors left for other uses: servers, pipes, files of the page.
_OWN_FILES: Final = 100
_RETRY_AFTER_SECONDS: Final = "1"
_TOO_LARGE: Final = "the headers are larger than 32 KiB"


async def slow_body(request: Request, least_bytes: int) -> AsyncIterator[bytes]:
    """Yield a body that may take its time: so much of it must come every REQUEST_SECONDS.

    Only time in which more is asked for counts: a client that waits for the app is not slow.
    Raises ClientDisconnect where the body breaks off.
    """
    connection = request.scope.get("extensions", {}).get(SLOW_BODY)
    waiting = connection["waiting"] if connection else nullcontext  # another server has none
    pieces = request.stream()
    while True:
        with waiting(least_bytes):
            piece = await anext(pieces, b"")
        if not piece:
            return
        yield piece


def most_connections() -> int:
    """Return how many connections one process accepts: its limit of open files, less some."""
    return max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OWN_FILES, 1)


class Connection(HttpToolsProtocol):
    """One client connection; uvicorn gets it as `--http api.http.protocol:Connection`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most_connections = most_connections()
        self._deadline: asyncio.TimerHandle | None = None
        self._progress: asyncio.TimerHandle | None = None
        #: Bytes that the client had yet to take at the last look; None before the first.
        self._untaken: int | None = None
        #: Of a body that may be slow: how much must come in time, what came, and the time left.
        self._least_bytes: int | None = None
        self._body_bytes = 0
        self._seconds_left = 0.0
        #: Bytes of the request's head so far; None while no head is being read.
        self._head_bytes: int | None = 0
        #: The request that is being answered; others may wait behind it.
        self._served: RequestResponseCycle | None = None
        #: What came next is refused: what came whole is answered yet, and nothing more is read.
        self._is_last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or answer 503 if there are too many."""
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES
        )
        if len(self.connections) > self._most_connections:
            self._refuse(503, "there are too many connections", retry=True)
        else:
            self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines, and tell the app."""
        self._cancel_deadline()
        self._stop_watching()
        super().connection_lost(exc)
        if self._served is not None:
            # uvicorn tells the newest request of a pipeline only.
            self._served.disconnected = True
            self._served.message_event.set()

    def pause_writing(self) -> None:
        """Have the app wait: the client takes the answer slower than it is made."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Let the app go on."""
        self._stop_watching()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection without a next request, when the client took the last answer."""
        super().timeout_keep_alive_handler()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read some bytes of a request, up to the limit of its head."""
        if self.transport.is_closing():
            return
        if self._least_bytes is not None and self.cycle.response_complete:
            self._least_bytes = None  # nobody waits for the rest
        if self._least_bytes is None:
            self._start_deadline()
        was_in_head = self._head_bytes is not None
        super().data_received(data)
        if was_in_head and self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MOST_BYTES:
                self._refuse(431, _TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start the deadline of a request, also for a second one in the same packet."""
        super().on_message_begin()
        self.scope["extensions"] = {
            ABORT: {"now": self.transport.abort},
            SLOW_BODY: {"waiting": self._waiting},
        }
        self._least_bytes = None
        self._body_bytes = 0
        self._head_bytes = 0
        self._start_deadline()

    def on_headers_complete(self) -> None:
        """Pass the request to the app, unless its head is too large."""
        self._head_bytes = None
        if len(self.url) + sum(map(len, itertools.chain(*self.headers))) > HEAD_MOST_BYTES:
            self._refuse(431, _TOO_LARGE)
            raise HttpParserError(_TOO_LARGE)
        super().on_headers_complete()
        self._served = self._served or self.cycle

    def on_body(self, body: bytes) -> None:
        """Pass some of the body to the app."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Cancel the deadline: how long the answer takes is up to the app."""
        self._least_bytes = None
        self._cancel_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Serve the next request of a pipeline."""
        self._served = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()

    def send_400_response(self, _: str) -> None:
        """Answer bytes that are not HTTP with a problem document."""
        self._refuse(400, "this is no HTTP request")

    def _start_deadline(self, seconds: float | None = None) -> None:
        if self._deadline is None:
            seconds = REQUEST_SECONDS if seconds is None else seconds
            self._deadline = self.loop.call_later(seconds, self._give_up)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @contextmanager
    def _waiting(self, least_bytes: int) -> Iterator[None]:
        """Have time pass for the client, while the app waits for more of a slow body."""
        # In a pipeline, the next request is arriving, and all of this one is here.
        is_here = self._head_bytes is not None or self.pipeline or not self.cycle.more_body
        if not is_here:
            self._cancel_deadline()
            if self._least_bytes is None:
                self._seconds_left = REQUEST_SECONDS
            self._least_bytes = least_bytes
            self._start_deadline(self._seconds_left)
        try:
            yield
        finally:
            if self._least_bytes is not None and self._deadline is not None:
                self._seconds_left = self._deadline.when() - self.loop.time()
                self._cancel_deadline()

    def _give_up(self) -> None:
        """Give the request up, unless its body may be slow and came fast enough for that."""
        self._deadline = None
        # While the app has not read what arrived, the client is not to blame.
        if self.flow.read_paused or self._body_bytes >= (self._least_bytes or math.inf):
            self._body_bytes = 0
            self._start_deadline()
        else:
            self._refuse(408, "the request did not arrive in time")

    def _watch(self) -> None:
        """End the connection when the client takes nothing for a while."""
        self._stop_watching()
        self._progress = self.loop.call_later(PROGRESS_SECONDS, self._look)

    def _look(self) -> None:
        left = self.transport.get_write_buffer_size()
        if self._untaken is not None and left >= self._untaken:
            self.transport.abort()
        elif left:
            self._watch()
            self._untaken = left

    def _stop_watching(self) -> None:
        self._untaken = None
        if self._progress is not None:
            self._progress.cancel()
            self._progress = None

    def _refuse(self, status: int, detail: str, *, retry: bool = False) -> None:
        """Answer with a problem and close; only close if an answer has begun.

        Where requests before are still to be answered, the problem would be taken for the answer to
        one of them: those that came whole are answered, and then the connection is closed.
        """
        if self.transport.is_closing():
            return
        served = self._served
        if served and (self.pipeline or not served.more_body):
            if self.pipeline and self.cycle.more_body:
                self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else served
            self._is_last, last.keep_alive = True, False
            return
        if not (served and served.response_started):
            title = http.HTTPStatus(status).phrase.capitalize()
            headers = {**HEADERS, "Connection": "close"}
            if retry:
                headers["Retry-After"] = _RETRY_AFTER_SECONDS
            answer = problem_response(status, title, detail, headers=headers)
            head = [f"HTTP/1.1 {status} {title}".encode()]
            head += [b"%b: %b" % header for header in answer.raw_headers]
            self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()
