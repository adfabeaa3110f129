"""The load as the campaign sees it: a process to command and to listen to."""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.chaos.load import Order

_LINE_BYTES: Final = 1 << 24
_END_SECONDS: Final = 10.0


class LoadProcess:
    """One running load."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.tally: dict[str, Any] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, order: Order, log: Path) -> "LoadProcess":
        """Start a load."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.chaos.load",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
                limit=_LINE_BYTES,
            )  # fmt: skip
        load = cls(process)
        load.command(asdict(order))
        return load

    def command(self, command: dict[str, Any]) -> None:
        """Send a line."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def works(self, writes: int, seconds: float) -> None:
        """Wait until so many writes were accepted, one at least, and no longer than this for more.

        Raises RuntimeError if the load ended.
        """
        deadline = time.monotonic() + seconds
        while (done := self.tally.get("ok", 0)) < writes:
            if self._process.returncode is not None:
                raise RuntimeError("the load ended before it began")
            if done and time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)

    async def finish(self, seconds: float) -> None:
        """Have it finish what it began and read everything once more.

        Raises TimeoutError if it needs longer than this, RuntimeError if it failed.
        """
        if self._process.stdin is not None:
            self._process.stdin.close()
        async with asyncio.timeout(seconds):
            code = await self._process.wait()
            await self._listening
        if code:
            raise RuntimeError(f"the load failed with {code}; see its log")

    async def end(self) -> None:
        """End it, whatever it does. What it did not write down would seem to be nobody's."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._listening.cancel()

    async def _listen(self) -> None:
        output = self._process.stdout
        while output is not None and (line := await output.readline()):
            self.tally = json.loads(line)
