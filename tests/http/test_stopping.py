"""A server that stops: whoever waits for longer than its grace is told to come back."""

import asyncio
import socket

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from api.http.hosts import AllowedHosts
from api.http.middleware import OuterMiddleware
from api.http.shares import Shares


def test_a_request_that_outlasts_the_grace_is_told_to_come_back() -> None:
    answer = asyncio.run(_asked_while_stopping())

    assert answer.status_code == 503
    assert 1 <= int(answer.headers["Retry-After"]) <= 10
    assert "the server is stopping; the outcome is unknown" in answer.json()["detail"]


async def _asked_while_stopping() -> httpx.Response:
    asked = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await asyncio.Event().wait()

    app = OuterMiddleware(waits, [], AllowedHosts([]), Shares())
    config = uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base) as client:
        asking = asyncio.create_task(client.post("/api/conversations"))
        await asked.wait()
        server.should_exit = True
        answer = await asking
    await serving
    return answer
