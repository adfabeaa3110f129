"""Bare sockets that ask a server for more than it can do, and keep what they were told for later.

A client that costs as much as the server would measure itself: this one takes some 30 µs of a
request, and everything that can wait (histories, checks) waits until the load is over.
"""

import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Final

HOST: Final = "127.0.0.1"
ANSWER_SECONDS: Final = 35.0
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_END_OF_HEAD: Final = b"\r\n\r\n"
_CONNECT_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.001
_PAUSE_SECONDS: Final = 0.05


@dataclass(slots=True)
class Sending:
    """One request. Times are `time.monotonic()`."""

    number: int  #: from 0, in order
    due: float
    sent: float
    answered: float = 0.0  #: 0: never
    answer: bytes = b""  #: head and body; nothing where the connection was lost

    @property
    def status(self) -> int:
        """The answer's status, 0 without an answer."""
        return int(self.answer[9:12] or 0)

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers, named in lower case."""
        _, *lines = self.answer.split(_END_OF_HEAD, 1)[0].decode().split("\r\n")
        named = (line.split(":", 1) for line in lines)
        return {name.lower(): value.strip() for name, value in named}

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return self.answer.split(_END_OF_HEAD, 1)[1]

    @property
    def latency_seconds(self) -> float:
        """From when it was due, not from when this client got round to it."""
        return self.answered - self.due


@dataclass(slots=True)
class _Asked:
    """What is asked on a connection, and what of the answer is there."""

    connection: socket.socket
    sending: Sending
    received: bytearray = field(default_factory=bytearray)

    @property
    def is_answered(self) -> bool:
        """The answer is there, to its last byte."""
        head = self.received.find(_END_OF_HEAD)
        length = _LENGTH.search(self.received, 0, head) if head >= 0 else None
        return length is not None and len(self.received) >= head + 4 + int(length[1])


def connect(port: int, source: str = "") -> socket.socket:
    """Open a connection to a server of this machine, from an address of its own if one is given."""
    return socket.create_connection(
        (HOST, port), _CONNECT_SECONDS, source_address=(source, 0) if source else None
    )


class LoadGenerator:
    """Requests on so many connections, opened beforehand: thousands of new clients at once are
    another test. `connect` opens one, `request` makes the request of a number.

    It stops early once `stop` (a file descriptor) has something to read, or ends.
    """

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        request: Callable[[int], bytes],
        connections: int,
        stop: int | None = None,
    ) -> None:
        self._open = connect
        self._request = request
        self._connections = connections
        self._stop = stop
        self._poll = select.epoll()
        if stop is not None:
            self._poll.register(stop, select.EPOLLIN)
        self._busy: dict[int, _Asked] = {}
        self._idle: deque[socket.socket] = deque()
        self._is_told_to_stop = False
        #: Everything that was sent, in order.
        self.sendings: list[Sending] = []
        for _ in range(connections):
            self._connect()

    def run(
        self, seconds: float, per_second: float = inf, most: float = inf, burst: int = 1
    ) -> None:
        """Send so many a second, whether answered or not, at most so many at once.

        What is due later than that is late. Without a rate each asks as soon as it was answered.
        `burst` of them are due at the same moment.
        """
        began = now = time.monotonic()
        count = 0
        while now - began < seconds and not self._is_told_to_stop:
            pause = _TICK_SECONDS
            while self._idle and len(self._busy) < most:
                due = now if per_second == inf else began + count // burst * burst / per_second
                if due > now:
                    pause = min(due - now, _PAUSE_SECONDS)
                    break
                self._send(due)
                count += 1
            if len(self._idle) + len(self._busy) < self._connections:
                self._connect()
            self._listen(pause)
            now = time.monotonic()

    def finish(self) -> None:
        """Wait for what was not answered yet; give it up when an answer would be too late."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._busy and time.monotonic() < deadline:
            self._listen(_TICK_SECONDS)
        for asked in list(self._busy.values()):
            self._lose(asked)

    def close(self) -> None:
        """Close what is idle, which all connections are once all is answered."""
        self._poll.close()
        for connection in self._idle:
            connection.close()

    def _send(self, due: float) -> None:
        request = self._request(len(self.sendings))
        sending = Sending(len(self.sendings), due, time.monotonic())
        self.sendings.append(sending)
        asked = _Asked(self._idle.popleft(), sending)
        self._busy[asked.connection.fileno()] = asked
        try:
            sent = asked.connection.send(request)
        except OSError:
            sent = 0
        if sent < len(request):
            self._lose(asked)

    def _connect(self) -> None:
        with suppress(OSError):
            made = self._open()
            made.setblocking(False)
            self._poll.register(made.fileno(), select.EPOLLIN)
            self._idle.append(made)

    def _listen(self, seconds: float) -> None:
        for descriptor, _ in self._poll.poll(seconds):
            if asked := self._busy.get(descriptor):
                self._receive(asked)
            elif descriptor == self._stop:
                self._is_told_to_stop = True
                self._poll.unregister(descriptor)
            else:
                self._forget(descriptor)

    def _receive(self, asked: _Asked) -> None:
        try:
            data = asked.connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._lose(asked)
            return
        asked.received += data
        if asked.is_answered:
            asked.sending.answered = time.monotonic()
            asked.sending.answer = bytes(asked.received)
            del self._busy[asked.connection.fileno()]
            self._idle.append(asked.connection)

    def _lose(self, asked: _Asked) -> None:
        """The connection is gone: nobody knows what became of what was asked."""
        del self._busy[asked.connection.fileno()]
        asked.connection.close()

    def _forget(self, descriptor: int) -> None:
        """An idle connection was closed."""
        (gone,) = (one for one in self._idle if one.fileno() == descriptor)
        self._idle.remove(gone)
        gone.close()
