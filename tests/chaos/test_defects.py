"""Every defect that the campaign found, as small as it can be shown (docs/reliability.md)."""

import asyncio
import errno
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import uvloop

from api.core.accept_requests import AcceptRequest
from api.core.errors import Unavailable
from api.core.settings import Settings
from api.local.command import Command
from api.local.console import Console
from api.local.supervisor import Backoff, Supervised
from api.writes import turns
from api.writes.group_commit import GroupCommit
from tests.support.proxy import HOST


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


def test_an_earlier_turn_that_is_no_text_does_not_keep_later_ones_from_being_answered() -> None:
    recent = turns._before(9, (b"1:user:\xff good", b"2:assistant:fine"))

    assert [turn.content for turn in recent] == ["\ufffd good", "fine"]


class FullDisk:
    """A program whose first starts fail because its disk is full."""

    name = "program"

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def prepare(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def command(self) -> Command:
        return Command([sys.executable, "-c", "import time; time.sleep(60)"])

    def answers(self) -> bool:
        return True


@pytest.mark.slow
def test_a_program_is_started_once_its_full_disk_has_room_again(tmp_path: Path) -> None:
    async def test() -> None:
        backoff = Backoff(first_seconds=0.01, longest_seconds=0.01)
        program, console = FullDisk(failures=3), Console(os.open(os.devnull, os.O_WRONLY))
        supervised = Supervised(program, console, tmp_path / "log", backoff)
        supervised.start()

        async with asyncio.timeout(20):
            while not supervised.starts:  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.01)

        assert program.failures == 0
        assert "cannot be started: [Errno 28] No space left" in supervised.last_end
        await supervised.stop()

    asyncio.run(test())


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
                        await commits.submit(AcceptRequest("open", 1, "open"))
        finally:
            await commits.stop()

    uvloop.run(test())
