"""The control: a connection that requests share, and that a cancelled one leaves half read.

What redis-py did in March 2023 (its issues 2624 and 2665), when titles of other people's chats were
shown to strangers.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from api.core import log_calls, log_scripts
from api.core.accept_calls import Limits, accept_arguments
from api.core.accept_requests import AcceptRequest
from api.core.accept_results import AcceptResult, read_reply
from api.core.settings import Settings
from api.writes.group_commit import GroupCommit

LIMITS = Limits(
    log_max_entries=1_000_000,
    log_max_bytes=10**9,
    log_max_age_seconds=10**12,
    idempotency_seconds=3600,
)


class CarelessConnection:
    """Sends a command and reads the next reply, whosever that is."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, *command: bytes | str | int) -> Any:
        async with self._lock:
            reader, writer = await self._opened()
            writer.write(packed(command))
            await writer.drain()
            # Cancelled here, it gives the lock back, and leaves the reply for whoever is next.
            return await read(reader)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._url.hostname, self._url.port, limit=2**20
            )
            if self._url.password:
                self._streams[1].write(packed(["AUTH", self._url.password]))
                await read(self._streams[0])
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


def packed(command: Sequence[bytes | str | int]) -> bytes:
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    body = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%b" % (len(parts), body)


async def read(reader: asyncio.StreamReader) -> Any:
    line = (await reader.readuntil(b"\r\n"))[:-2]
    kind, rest = line[:1], line[1:]
    if kind == b"*":
        return [await read(reader) for _ in range(int(rest))]
    if kind == b"$":
        return None if rest == b"-1" else (await reader.readexactly(int(rest) + 2))[:-2]
    return int(rest) if kind == b":" else rest


def share_one_connection(settings: Settings) -> tuple[CarelessConnection, Any]:
    """Return the connection, and what takes the place of `GroupCommit.submit`."""
    connection = CarelessConnection(settings.redis)

    async def submit(commits: GroupCommit, request: AcceptRequest) -> AcceptResult:
        partitions, arguments = accept_arguments(LIMITS, 10**13, [request])
        keys, call = log_calls.script_call(
            settings.log_namespace, "accept", commits.database_id, partitions, arguments
        )
        answers = read_reply(
            await connection.ask("EVAL", log_scripts.SCRIPTS["accept"].text, keys, *call)
        )
        return answers.results[0]

    return connection, submit
