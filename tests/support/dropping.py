"""A proxy that loses answers: what was asked for has happened, and who asked does not know."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_DROPPED: Final = 10


@asynccontextmanager
async def dropping(server_port: int) -> AsyncIterator[int]:
    """Run a proxy that cuts the connection in place of each tenth answer; yield its port."""
    answers = itertools.count(1)
    open_now: set[asyncio.StreamWriter] = set()

    async def up(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
        target.close()

    async def down(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            if data.startswith(b"HTTP/1.1 200") and next(answers) % _DROPPED == 0:
                break
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", server_port)
        mine = {writer, to_server}
        open_now.update(mine)
        both = (up(reader, to_server), down(server, writer))
        await asyncio.gather(*both, return_exceptions=True)
        for one in mine:
            one.close()
        open_now.difference_update(mine)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for one in list(open_now):
            one.close()
        await asyncio.wait_for(listening.wait_closed(), 20)
