"""A small app for `api.local.serve`, which needs no servers: it says which process answers."""

import os
from typing import Any

from api.core import metrics


def create_app() -> Any:
    return answer


def cannot_start() -> Any:
    raise SystemExit("there is a reason")


async def answer(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/metrics":
        body = metrics.exposition([])
    else:
        metrics.accepted_total.labels("add").inc()
        metrics.group_size.observe(2)
        body = str(os.getpid()).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})
