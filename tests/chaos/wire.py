"""A small HTTP/1.1 client: httpx would take half of the machine that is to be tested.

It tells apart what was never sent from what got no answer, and it can walk away in mid-request.
"""

import asyncio
import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

from tests.support.proxy import HOST

ANSWER_SECONDS = 35.0


class NotSentError(Exception):
    """Nobody listened: the request did not happen."""


@dataclass(slots=True)
class Response:
    """An answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_stream(self) -> bool:
        """Whether it is a streamed answer, whole or not."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        """What a problem document says."""
        try:
            return str(self.json["detail"])
        except (ValueError, KeyError, TypeError):
            return ""


class NoAnswerError(Exception):
    """The request was sent, at least in part, and no whole answer came: its outcome is unknown."""

    def __init__(self, reason: str = "", so_far: Response | None = None) -> None:
        super().__init__(reason)
        #: What came of the answer; its status is 0 if that is less than its headers.
        self.so_far = so_far or Response()


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.reusable = True
        self._waiter: asyncio.Future[Response] | None = None
        self._response = Response()
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(NoAnswerError("the connection was lost", self._response))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._response.body += body

    def on_headers_complete(self) -> None:
        self._response.status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.reusable = False
        if self._waiter is None or self._waiter.done():
            # Nobody asked: whoever asks next on this connection must not get it.
            self.abort()
            return
        self._waiter.set_result(self._response)

    async def send(self, request: bytes, seconds: float) -> Response:
        """Send a request and wait for its answer."""
        transport = cast("asyncio.Transport", self.transport)
        self._response, self._parser = Response(), httptools.HttpResponseParser(self)
        self._waiter = asyncio.get_running_loop().create_future()
        transport.write(request)
        try:
            async with asyncio.timeout(seconds):
                return await self._waiter
        except TimeoutError:
            raise NoAnswerError("no answer in time", self._response) from None
        finally:
            if not self._waiter.done() or self._waiter.cancelled():
                self.abort()

    def abort(self) -> None:
        """Give the connection up."""
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()


class Wire:
    """Connections to the API processes."""

    def __init__(self, ports: list[int], rng: random.Random) -> None:
        self._ports = ports
        self._rng = rng
        self._idle: dict[int, list[_Connection]] = defaultdict(list)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> Response:
        """Send one request to one of the APIs. Raises NotSentError or NoAnswerError."""
        port = self._rng.choice(self._ports)
        connection = await self._connection(port)
        response = await connection.send(_request(method, path, body, headers or {}), seconds)
        if connection.reusable:
            self._idle[port].append(connection)
        return response

    async def _connection(self, port: int) -> _Connection:
        idle = self._idle[port]
        while idle:
            connection = idle.pop()
            if connection.reusable:
                return connection
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(5):
                _, connection = await loop.create_connection(_Connection, HOST, port)
        except (OSError, TimeoutError) as error:
            raise NotSentError(str(error)) from error
        return connection


def _request(method: str, path: str, body: Any, headers: dict[str, str]) -> bytes:
    data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}"]
    if data:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data
