"""A small HTTP server with enough of the contract for a replay, and with faults to switch on.

It does not stand in for the product: replay must detect its faults.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from api.core import metrics
from api.core.metrics import DrainCounts

Messages = list[dict[str, Any]]


@dataclass
class Faults:
    """Faults of the server. `corrupt` gets a whole conversation and returns what is read back."""

    corrupt: Callable[[Messages], Messages] = lambda messages: messages
    #: Each write is answered `refusals` times with this status and Retry-After before it is served.
    refusal: tuple[int, str] | None = None
    refusals: int = 0
    #: Each write is served, but the first answer is never sent.
    answers_are_lost: bool = False
    honours_keys: bool = True
    token_lives_requests: int = 10**9
    shows_metrics: bool = True
    never_reads: bool = False
    #: Messages at this position are refused with 422.
    never_accepts_position: int = 0


@dataclass
class ServerState:
    """Everything the server stores and counts."""

    faults: Faults
    conversations: dict[int, Messages] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    by_key: dict[str, dict[str, Any]] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)
    counts: DrainCounts = field(default_factory=DrainCounts)
    next_id: int = 2**41
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.next_id += 16
        self.counts.observe_lags([4])
        answer = {"id": self.next_id}
        if path == "/api/conversations/":
            self.conversations[self.next_id] = []
            return 202, answer
        messages = self.conversations[_conversation(path)]
        if len(messages) + 1 == self.faults.never_accepts_position:
            return 422, {"detail": "never"}
        row = {"id": self.next_id, "position": len(messages) + 1, "status": "stored"}
        messages.append(row | body)
        return 202, answer

    def page(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        assert "read_after" in query
        messages = self.faults.corrupt(
            [dict(row) for row in self.conversations[_conversation(path)]]
        )
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        return {"messages": messages[offset : offset + limit], "total": len(messages)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Head and body in one packet: else the second waits for a delayed acknowledgement.
    wbufsize = -1
    state: ServerState

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/livez":
            self._answer(200, {})
        elif parts.path == "/metrics":
            self._metrics()
        elif self.state.faults.never_reads:
            self._answer(503, {"detail": "not now"}, {"Retry-After": "1"})
        elif self._signed_in():
            with self.state.lock:
                page = self.state.page(parts.path, parse_qs(parts.query))
            self._answer(200, page)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/auth/register":
            self._answer(201, {"id": 1})
        elif self.path == "/auth/login":
            token = f"token-{len(self.state.tokens)}"
            self.state.tokens[token] = self.state.faults.token_lives_requests
            self._answer(200, {"access_token": token, "token_type": "bearer", "expires_in": 60})
        elif self._signed_in():
            with self.state.lock:
                self._write(body)

    def _write(self, body: dict[str, Any]) -> None:
        faults, key = self.state.faults, self.headers["Idempotency-Key"]
        self.state.tries[key] += 1
        if faults.refusal and self.state.tries[key] <= faults.refusals:
            status, retry_after = faults.refusal
            self._answer(status, {"detail": "not now"}, {"Retry-After": retry_after})
            return
        if faults.honours_keys and key in self.state.by_key:
            self._answer(202, self.state.by_key[key])
            return
        status, answer = self.state.write(self.path, body)
        self.state.by_key[key] = answer
        if faults.answers_are_lost and self.state.tries[key] == 1:
            self.close_connection = True
        else:
            self._answer(status, answer)

    def _signed_in(self) -> bool:
        token = self.headers["Authorization"].removeprefix("Bearer ")
        self.state.tokens[token] -= 1
        if self.state.tokens[token] < 0:
            self._answer(401, {"detail": "expired"})
            return False
        return True

    def _metrics(self) -> None:
        if not self.state.faults.shows_metrics:
            self._answer(403, {})
            return
        page = metrics.exposition(metrics.drain_families(self.state.counts.mapping()))
        self._send(200, page, {"Content-Type": "text/plain"})

    def _answer(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        self._send(status, json.dumps(body).encode(), headers or {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(faults: Faults) -> Iterator[tuple[str, ServerState]]:
    """Serve on loopback; yield the URL and the server's state."""
    state = ServerState(faults)
    handler = type("Handler", (_Handler,), {"state": state})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", state
        finally:
            server.shutdown()
            thread.join()


def _conversation(path: str) -> int:
    found = re.fullmatch(r"/api/conversations/(\d+)/messages", path)
    assert found is not None
    return int(found[1])
