#!/usr/bin/env bash
# A request that outlasts `timeout_graceful_shutdown` is answered with 500 by uvicorn.
#
# Versions: uvicorn 0.54.0, with httptools 0.9.0 and with h11 0.16.0, httpx 0.28.1, Python 3.11.
# Assumed: a server that is told to stop, and whose grace is over, closes the connections that are
#   left, or answers 503: the client should ask another process.
# Seen: the handler is cancelled, and the cancellation is taken for a fault of the application. Where
#   nothing was answered yet, the client gets "500 Internal Server Error" as text/plain, and the log
#   a traceback; no Retry-After, so a client that repeats only 502, 503 and 504 gives up at each
#   deployment. An answer that had begun is cut off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0 httpx==0.28.1

cat > stopping.py <<'PYTHON'
import asyncio
import socket

import httpx
import uvicorn


async def answer_of(parser):
    """Ask something that takes for ever; stop the server; return what was answered."""
    asked = asyncio.Event()

    async def app(scope, receive, send):
        asked.set()
        await asyncio.Event().wait()

    config = uvicorn.Config(
        app, http=parser, lifespan="off", log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        asking = asyncio.create_task(client.get(url))
        await asked.wait()
        server.should_exit = True
        answer = await asking
    await serving
    return answer


for parser in ("httptools", "h11"):
    answer = asyncio.run(answer_of(parser))
    print(parser, answer.status_code, answer.headers.get("content-type"), repr(answer.text))
    print("  Retry-After:", answer.headers.get("retry-after"))
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/plain")
    assert "retry-after" not in answer.headers
PYTHON
timeout 120 venv/bin/python stopping.py
