"""A TCP proxy that cuts event streams in their middle."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_EVENT = b"event: delta"


class CuttingProxy:
    """Passes bytes on. `cuts` says, for each stream to be cut, after how many of its deltas."""

    def __init__(self, server_port: int, cuts: list[int]) -> None:
        self._server_port = server_port
        self.cuts_left = list(cuts)
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen on a free port of the loopback."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            accepting = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            accepting.start()
            try:
                yield
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                accepting.join()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                for work, ends in ((self._up, (client, server)), (self._down, (server, client))):
                    threading.Thread(target=work, args=ends, daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        _close(client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        passed = b""
        with suppress(OSError):
            while data := server.recv(65536):
                before, passed = len(passed), passed + data
                deltas = [found.start() for found in re.finditer(_EVENT, passed)]
                if self.cuts_left and len(deltas) > self.cuts_left[0]:
                    client.sendall(passed[before : deltas[self.cuts_left.pop(0)]])
                    break
                client.sendall(data)
        _close(client, server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
