"""Every defect that the campaign found, as small as it can be shown (docs/reliability.md)."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
import uvloop

from api.core.entries import Request
from api.core.errors import Unavailable
from api.core.settings import Settings
from api.group_commit import GroupCommit
from tests.chaos.proxy import HOST


@pytest.fixture
def resetting_port() -> Iterator[int]:
    """A port whose connections are reset as soon as they are made."""
    with closing(socket.create_server((HOST, 0))) as listening:

        def reset_all() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                    connection.close()

        thread = threading.Thread(target=reset_all, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_the_group_commit_outlives_connections_that_are_reset_as_soon_as_they_are_made(
    resetting_port: int, namespace: str
) -> None:
    async def test() -> None:
        settings = Settings(
            _env_file=None, redis_url=f"redis://{HOST}:{resetting_port}", log_namespace=namespace
        )
        commits = GroupCommit(settings, ring=lambda: None, on_connected=lambda: None)
        await commits.start()
        try:
            for _ in range(300):
                with pytest.raises(Unavailable):
                    async with asyncio.timeout(5):
                        await commits.submit(Request("open", 1, "open"))
        finally:
            await commits.stop()

    uvloop.run(test())
