"""A TCP proxy that cuts a connection, once each, where the server says given words."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

_CHUNK = 65_536


class Cutting:
    """Passes everything on until the next of its words comes by: that and the rest is lost."""

    def __init__(self, server: tuple[str, int], words: Sequence[bytes]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.left = list(words)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        self._spawn(self._accept)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=20)
            assert not thread.is_alive()

    def _spawn(self, *work: object) -> None:
        run, *arguments = work
        assert callable(run)
        self._threads.append(threading.Thread(target=run, args=arguments))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._spawn(self._pass_on, client, server, False)
                self._spawn(self._pass_on, server, client, True)

    def _pass_on(self, source: socket.socket, target: socket.socket, may_cut: bool) -> None:
        with suppress(OSError):  # the other direction was cut
            while chunk := source.recv(_CHUNK):
                passed = chunk.partition(self.left[0])[0] if may_cut and self.left else chunk
                target.sendall(passed)
                if passed != chunk:
                    self.left.pop(0)
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


@contextmanager
def cutting(server: tuple[str, int], words: Sequence[bytes]) -> Iterator[Cutting]:
    """Run such a proxy before a server."""
    proxy = Cutting(server, words)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
