"""PostgreSQL somewhere else: a process of its own that delays what goes by.

`python -m tests.bench.far PORT`; a number on its stdin is the new round trip in milliseconds.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import uvloop

from tests.bench.site import Site
from tests.support.proxy import Link


@dataclass(frozen=True, slots=True)
class Far:
    """The way to PostgreSQL, as long as one likes."""

    port: int
    _orders: IO[str]

    def away(self, round_trip_ms: float) -> None:
        """Put PostgreSQL that far away."""
        self._orders.write(f"{round_trip_ms}\n")
        self._orders.flush()

    def environment(self, at: Site) -> dict[str, str]:
        """What a process is started with that is to take this way."""
        near, far = f"@127.0.0.1:{at.postgres.port}/", f"@127.0.0.1:{self.port}/"
        return {name: value.replace(near, far) for name, value in at.environment.items()}


@contextmanager
def far(at: Site) -> Iterator[Far]:
    """Open the way, with no delay at first."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.far", str(at.postgres.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Far(int(process.stdout.readline()), process.stdin)
        finally:
            # It ends with its stdin.
            process.stdin.close()


async def _serve(server_port: int) -> None:
    link = Link("far", server_port)
    await link.start()
    print(link.port, flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    async for order in orders:
        link.delay_seconds = float(order) / 2000
    await link.stop()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
