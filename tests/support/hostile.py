"""One account that tries everything at once, in a process of its own: `python -m` with its name.

Arguments: the server's URL, the account's name, its access token, a conversation of it with long
messages, and what to try (all of it by default). It goes on until its standard input ends, and then
prints what it tried.
"""

import json
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import Final
from urllib.parse import urlsplit

import httpx

LONG: Final = "\N{GLASS OF MILK}" * 100_000
#: Connections at a time that ask for something and read nothing of the answer.
UNREAD: Final = 20
#: Connections of each crowd.
CROWD: Final = 150


class Hostile:
    """All that one account may try, each in threads of its own, until it is stopped."""

    def __init__(self, url: str, name: str, token: str, conversation: int) -> None:
        self._name = name
        self._where = urlsplit(url)
        self._authorization = f"Bearer {token}"
        self._http = httpx.Client(
            base_url=url, timeout=60, headers={"Authorization": self._authorization}
        )
        self._messages = f"/api/conversations/{conversation}/messages"
        self._chat = f"/api/chat/sess_{conversation:x}/message"
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        #: What was tried at least once.
        self.tried: set[str] = set()
        self.attempts: dict[Callable[[], object], int] = {
            self.reads_pages: 4,
            self.exports: 2,
            self.leaves_pages_unread: 1,
            self.leaves_streams_unread: 1,
            self.writes_large_messages: 2,
            self.floods_with_keys: 4,
            self.crowds: 2,
            self.guesses_passwords: 2,
        }

    def start(self, *names: str) -> None:
        """Begin to try what is named, or everything."""
        self._threads = [
            threading.Thread(target=self._repeat, args=[attempt])
            for attempt, threads in self.attempts.items()
            for _ in range(threads)
            if attempt.__name__ in (names or (attempt.__name__,))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Try no more."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        self._http.close()

    def _repeat(self, attempt: Callable[[], object]) -> None:
        while not self._over.is_set():
            with suppress(httpx.TransportError, OSError):
                attempt()
            self.tried.add(attempt.__name__)

    def reads_pages(self) -> None:
        self._http.get(self._messages, params={"limit": 100})

    def exports(self) -> None:
        with self._http.stream("GET", "/api/export") as answer:
            for _ in answer.iter_bytes():
                if self._over.is_set():
                    return

    def leaves_pages_unread(self) -> None:
        self._leave_unread(f"GET {self._messages}?limit=100")

    def leaves_streams_unread(self) -> None:
        self._leave_unread(f"POST {self._chat}", '{"message": "Tell me everything"}')

    def writes_large_messages(self) -> None:
        self._write(LONG)

    def floods_with_keys(self) -> None:
        self._write("x", **{"Idempotency-Key": secrets.token_hex(100)})

    def crowds(self) -> None:
        """Write on many connections at once, again and again."""
        body = '{"role": "user", "content": "x"}'
        with ExitStack() as opened:
            crowd = [
                opened.enter_context(closing(self._asked(f"POST {self._messages}", body)))
                for _ in range(CROWD)
            ]
            while not self._over.is_set():
                for member in crowd:
                    member.recv(65536)
                for member in crowd:
                    member.sendall(self._request(f"POST {self._messages}", body))

    def guesses_passwords(self) -> None:
        wrong = {"username": self._name, "password": secrets.token_hex(8)}
        self._http.post("/auth/login", json=wrong)

    def _write(self, content: str, **headers: str) -> None:
        body = {"role": "user", "content": content}
        self._http.post(self._messages, json=body, headers=headers)

    def _leave_unread(self, request: str, body: str = "") -> None:
        with ExitStack() as opened:
            for _ in range(UNREAD):
                opened.enter_context(closing(self._asked(request, body)))
            self._over.wait(1)

    def _asked(self, request: str, body: str) -> socket.socket:
        """Ask for something on a connection of its own, and read nothing of the answer."""
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.connect((self._where.hostname, self._where.port))
        opened.sendall(self._request(request, body))
        return opened

    def _request(self, request: str, body: str) -> bytes:
        return (
            f"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: {self._authorization}\r\n\r\n{body}".encode()
        )


if __name__ == "__main__":
    url, name, token, conversation, *names = sys.argv[1:]
    hostile = Hostile(url, name, token, int(conversation))
    hostile.start(*names)
    print("started", flush=True)
    sys.stdin.read()
    hostile.stop()
    print(json.dumps(sorted(hostile.tried)))
