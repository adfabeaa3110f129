"""What is lost of what was acknowledged, when the web process is killed with -9."""

import asyncio
import itertools
import json
import re
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from tests.bench.field import field
from tests.bench.figures import Report, say
from tests.bench.load import LoadError, message_path
from tests.bench.processes import Server
from tests.bench.scale import Scale
from tests.bench.site import Seat, Site

_CONNECTIONS: Final = 64
#: Longer than any of them waits with something in its hands: celery-batches collects for a second.
_QUIET_SECONDS: Final = 3.0
_PATIENCE_SECONDS: Final = 120.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
#: Where a contestant's messages end up; the others: in Verbatim's own table.
_TEXTS: Final = {
    "langchain": "SELECT message->'data'->>'content' FROM langchain_messages",
    "agents": "SELECT message_data::json->>'content' FROM agent_messages",
}


def measure(at: Site, scale: Scale, report: Report) -> None:
    """Kill each contestant's server in the middle of its work, and wait for what it left."""
    # One that keeps nothing has nothing to lose.
    for name in (one for one in scale.contestants if not one.startswith("no_io")):
        say(f"losses: {name}")
        mark = secrets.token_hex(8)
        with field(at, [name]) as contest:
            load = _until_killed(contest.servers[name], at.seats, mark, scale.seconds)
            acknowledged = asyncio.run(load)
            stored = _stored_in_the_end(at, name, mark)
        lost = len(acknowledged - stored)
        report.add(f"lost_{name}_vs_acknowledged", "messages", [lost], [len(acknowledged)])


async def _until_killed(server: Server, seats: list[Seat], mark: str, seconds: float) -> set[str]:
    """Send messages, kill the server with requests in flight; return what it acknowledged."""
    acknowledged: set[str] = set()
    texts = (f"{mark} {number}" for number in itertools.count())
    async with asyncio.TaskGroup() as clients:
        for seat in seats[:_CONNECTIONS]:
            clients.create_task(_send(server, seat, texts, acknowledged))
        await asyncio.sleep(seconds)
        server.signal(signal.SIGKILL)
    return acknowledged


async def _send(server: Server, seat: Seat, texts: Iterator[str], acknowledged: set[str]) -> None:
    """Send one message after the other over one connection, until it breaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        for text in texts:
            body = json.dumps({"role": "user", "content": text})
            writer.write(
                f"POST {message_path(seat)} HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {seat.token}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 202 ") or length is None:
                raise LoadError(f"a message was answered {head[:40]!r}")
            await reader.readexactly(int(length[1]))
            acknowledged.add(text)
    writer.close()


def _stored_in_the_end(at: Site, name: str, mark: str) -> set[str]:
    """Wait until no more comes; return the texts that came."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    stored: set[str] = set()
    quiet_since = time.monotonic()
    while at.backlog() or time.monotonic() - quiet_since < _QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise LoadError(f"{name} does not come to an end")
        time.sleep(0.1)
        if len(seen := _stored(at, name, mark)) > len(stored):
            stored, quiet_since = seen, time.monotonic()
    return stored


def _stored(at: Site, name: str, mark: str) -> set[str]:
    texts = _TEXTS.get(name, "SELECT content FROM message")
    with at.connection() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT text FROM ({texts}) AS t (text) WHERE text LIKE %s", (f"{mark} %",))
        return {text for (text,) in cursor}
