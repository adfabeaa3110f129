#!/usr/bin/env bash
# A streaming response cannot read the request's body: the watch for disconnects takes it.
#
# Versions: starlette 1.10.0, uvicorn 0.54.0, Python 3.11.
# Assumed: an endpoint may return a `StreamingResponse` whose generator goes through
#   `request.stream()`: a line of answer for each line of an upload, in constant memory.
# Seen: the generator gets none of the body that arrives after the answer began, and no error: the
#   body seems to have ended. uvicorn says that it speaks ASGI 2.3; below 2.4 Starlette calls
#   `receive()` in a task beside the generator, to learn of a disconnect, and that task throws the
#   body's messages away. On a server that says 2.4 the same endpoint gets all of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check starlette==1.10.0 uvicorn==0.54.0

cat > uploading.py <<'PYTHON'
import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

PARTS = 5


async def count(request):
    """Answer how many bytes of the body came, once it has ended."""

    async def answer():
        yield "counting\n"
        size = 0
        async for part in request.stream():
            size += len(part)
        yield f"{size} bytes, to the end\n"

    return StreamingResponse(answer())


class Says24:
    """The same application on a server that says that it speaks ASGI 2.4."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            scope["asgi"]["spec_version"] = "2.4"
        await self.app(scope, receive, send)


async def upload(app):
    """Send five parts of ten bytes, a moment apart; return the last line of the answer."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
    await reader.readuntil(b"counting\n")
    for _ in range(PARTS):
        writer.write(b"a\r\n0123456789\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
    writer.write(b"0\r\n\r\n")
    answer = await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    server.should_exit = True
    await serving
    return next(line for line in answer.decode().splitlines() if "bytes" in line)


async def main():
    app = Starlette(routes=[Route("/", count, methods=["POST"])])
    as_it_is, with_24 = await upload(app), await upload(Says24(app))
    print(f"of {PARTS * 10} bytes, on uvicorn:               {as_it_is}")
    print(f"of {PARTS * 10} bytes, where it says ASGI 2.4: {with_24}")
    assert as_it_is == "0 bytes, to the end", as_it_is
    assert with_24 == "50 bytes, to the end", with_24


asyncio.run(main())
PYTHON
timeout 60 venv/bin/python uploading.py
