"""Bare sockets that ask an API for more than it can do, and keep what they were told for later.

A client that costs as much as the server would measure itself: this one takes some 30 µs of a
request, and everything that can wait (history, checks) waits until the torrent is over.
"""

import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from math import inf
from typing import Final

from tests.chaos.client import Person, Talk
from tests.chaos.proxy import HOST
from tests.chaos.wire import ANSWER_SECONDS, NoAnswerError, Response

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_END_OF_HEAD: Final = b"\r\n\r\n"
_CONNECT_SECONDS: Final = 1.0
CONNECTIONS: Final = 1_000
_TICK_SECONDS: Final = 0.001
_FILLER: Final = "The quick brown fox jumps over the lazy dog. " * 5


@dataclass(slots=True)
class Sending:
    """One message. Times are `time.monotonic()`."""

    op: str
    author: Person
    talk: Talk
    due: float
    sent: float
    answered: float = 0.0  #: 0: never
    answer: bytes = b""  #: head and body; nothing where the connection was lost

    @property
    def text(self) -> str:
        """What it says."""
        return f"#{self.op}# {_FILLER}"

    @property
    def path(self) -> str:
        """Where it goes."""
        return f"/api/conversations/{self.talk.id}/messages"

    @property
    def is_admitted(self) -> bool:
        """It was answered with a 2xx."""
        return self.answer.startswith(b"HTTP/1.1 2")

    @property
    def response(self) -> Response | Exception:
        """The answer, parsed, or what there was in its place."""
        if not self.answered:
            return NoAnswerError("the connection was lost")
        head, body = self.answer.split(_END_OF_HEAD, 1)
        first, *lines = head.decode().split("\r\n")
        named = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in named}
        return Response(int(first.split()[1]), headers, body)

    def request(self) -> bytes:
        """Return it as HTTP/1.1."""
        body = f'{{"role":"user","content":"{self.text}"}}'
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: chaos\r\nAuthorization: Bearer {self.author.token}"
            f"\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


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


class Torrent:
    """Sends messages into conversations in turn, to the ports in turn. Stops early when its
    standard input says something, or ends.
    """

    def __init__(
        self, ports: Sequence[int], talks: Sequence[tuple[Person, Talk]], prefix: str
    ) -> None:
        self._ports = cycle(ports)
        self._talks = cycle(talks)
        self._prefix = prefix
        self._poll = select.epoll()
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._busy: dict[int, _Asked] = {}
        self._idle: deque[socket.socket] = deque()
        self._is_told_to_stop = False
        #: Everything that was sent, in order.
        self.sendings: list[Sending] = []
        # Before the first message: thousands of new clients at once are another test.
        for _ in range(CONNECTIONS):
            self._connect()

    def run(self, seconds: float, per_second: float = inf, most: int = CONNECTIONS) -> None:
        """Send so many a second, whether answered or not, at most so many at once.

        What is due later than that is late. Without a rate each asks as soon as it was answered.
        """
        began = now = time.monotonic()
        count = 0
        while now - began < seconds and not self._is_told_to_stop:
            while self._idle and len(self._busy) < most:
                due = now if per_second == inf else began + count / per_second
                if due > now:
                    break
                self._send(due)
                count += 1
            if len(self._idle) + len(self._busy) < CONNECTIONS:
                self._connect()
            self._listen()
            now = time.monotonic()

    def finish(self) -> None:
        """Wait for what was not answered yet; give it up when an answer would be too late."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._busy and time.monotonic() < deadline:
            self._listen()
        for asked in list(self._busy.values()):
            self._lose(asked)

    def _send(self, due: float) -> None:
        op = f"{self._prefix}-{len(self.sendings)}"
        sending = Sending(op, *next(self._talks), due, time.monotonic())
        self.sendings.append(sending)
        asked = _Asked(self._idle.popleft(), sending)
        self._busy[asked.connection.fileno()] = asked
        request = sending.request()
        try:
            sent = asked.connection.send(request)
        except OSError:
            sent = 0
        if sent < len(request):
            self._lose(asked)

    def _connect(self) -> None:
        with suppress(OSError):
            made = socket.create_connection((HOST, next(self._ports)), _CONNECT_SECONDS)
            made.setblocking(False)
            self._poll.register(made.fileno(), select.EPOLLIN)
            self._idle.append(made)

    def _listen(self) -> None:
        for descriptor, _ in self._poll.poll(_TICK_SECONDS):
            if asked := self._busy.get(descriptor):
                self._receive(asked)
            elif descriptor == sys.stdin.fileno():
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
