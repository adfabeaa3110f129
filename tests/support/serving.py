"""A real HTTP server in a thread of the test's own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from api.http.protocol import Connection
from tests.support.waiting import eventually


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI app on a free port and yield its URL."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=0,
            http=Connection,
            ws="none",
            log_config=None,
            access_log=True,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive())
        if not server.started:
            raise RuntimeError("the server did not start")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive(), "the server did not stop"
