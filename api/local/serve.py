"""Serve the API: `python -m api.local.serve`, in API_PROCESSES processes.

A stack, the image and the benchmarks start it so. One process is uvicorn itself. Of several, this
one keeps them running: `python -m api.local.serve APP SOCKET` is one of them, with the descriptor
of the socket that they share.
"""

import asyncio
import copy
import socket
import sys
from contextlib import suppress
from typing import Any, Final

import uvicorn
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE

from api.core.errors import SettingsError
from api.core.settings import Settings, load
from api.local.processes import Processes

APP: Final = "api.main:create_app"
#: What is in progress when the API is told to stop may take so long.
GRACE_SECONDS: Final = 10


def main(app: str = APP, descriptor: str = "") -> None:
    """Serve until a signal. Ends with a line that says why where a setting is wrong."""
    try:
        settings = load()
    except SettingsError as error:
        sys.exit(f"the API does not start: {error}")
    if descriptor:
        _serve(app, settings, [socket.socket(fileno=int(descriptor))])
    elif settings.api_processes == 1:
        _serve(app, settings)
    else:
        sys.exit(asyncio.run(_serve_in_several(app, settings)))


async def _serve_in_several(app: str, settings: Settings) -> int:
    try:
        listener = _bound(settings.host, settings.port)
    except OSError as error:
        sys.exit(f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}")
    argv = [sys.executable, "-m", "api.local.serve", app, str(listener.fileno())]
    return await Processes(argv, settings.api_processes, listener).run()


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that children inherit. It does not listen before one of them does."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    if family == socket.AF_INET6:
        # As uvicorn does for one process: `::` means IPv6 alone.
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # Connections of an earlier run linger for a minute.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.set_inheritable(True)
    return listener


def _log_config(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's own configuration of its log lines, which are JSON where settings say so."""
    config = copy.deepcopy(LOGGING_CONFIG)
    if settings.log_format == "json":
        config["formatters"]["default"] = {"()": "api.core.log_lines.JsonLines"}
    return config


def _serve(app: str, settings: Settings, sockets: list[socket.socket] | None = None) -> None:
    """Run uvicorn. Forwarded headers are the app's business, which knows TRUSTED_PROXIES."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=1,
            loop="uvloop",
            http="api.http.protocol:Connection",
            ws="none",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            log_level=settings.log_level.lower(),
            log_config=_log_config(settings),
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is closed
        server.run(sockets)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main(*sys.argv[1:])
