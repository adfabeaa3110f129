"""How the MCP server is reached: over stdin and stdout, or over HTTP, each caller by a key."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.cli.mcp.history import connections
from api.cli.mcp.server import make_server

#: What a request over HTTP says of its caller; Verbatim checks it.
_WHO: Final = ("Authorization", "Verbatim-User")


async def serve_stdio(url: str, who: Mapping[str, str]) -> None:
    """Serve one client, for one person, until stdin ends."""
    async with connections(url) as http:
        await make_server(http, lambda _: dict(who)).run_stdio_async()


async def serve_http(url: str, host: str, port: int) -> None:
    """Serve any number of clients at /mcp, each request for whom its `Authorization` names."""
    async with connections(url) as http:
        # Without sessions, no request can go on as somebody else's.
        app = make_server(http, _who).streamable_http_app(
            stateless_http=True, json_response=True, host=host
        )
        config = uvicorn.Config(_Keyed(app), host=host, port=port, log_level="warning")
        await uvicorn.Server(config).serve()


def _who(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in _WHO if name in headers}


class _Keyed:
    """Refuses requests that name nobody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] == "http" and "authorization" not in Headers(scope=scope):
            refusal = PlainTextResponse(
                "send an API key of Verbatim as Authorization: Bearer",
                HTTPStatus.UNAUTHORIZED,
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)
