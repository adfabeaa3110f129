"""More requests than the machine can take."""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from math import inf
from typing import Any, Final

import psutil

from api.writes.group_commit import MEMORY_NO_WRITES
from tests.chaos.faults.base import Fault, Stage
from tests.chaos.flood import Order
from tests.chaos.history import Alarm
from tests.chaos.lateness import Lateness

#: Promised for what is admitted.
_P99_MS: Final = 100.0
_START_SECONDS: Final = 90.0
_OVER_SECONDS: Final = 120.0
#: A machine that works for others this much (a part of all its processors) proves nothing.
_OTHERS_MOST: Final = 0.05
#: A tester that is this late itself cannot tell how late the answers are.
_LATE_MOST_MS: Final = 20.0

_numbers: Final = count(1)


class Overload(Fault):
    """Three times what the machine can take, open loop."""

    name = "overload"
    target = "clients"
    seconds = 60.0
    brief_seconds = 2.0

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._others = _others_seconds()
        self._began = time.monotonic()
        self._lateness: Lateness | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def inject(self) -> None:
        directory = self.site.directory
        prefix = f"f{next(_numbers)}"
        # Past the proxies, which would have to carry all of it.
        ports = [door.server_port for door in self.site.doors]
        order = Order(ports, str(directory / f"flood-{prefix}.jsonl"), prefix)
        with (directory / "flood.log").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.chaos.flood",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
                # Linux may share its time among sessions: it stands for other machines.
                start_new_session=True,
            )  # fmt: skip
        self._say(json.dumps(asdict(order)))
        async with asyncio.timeout(_START_SECONDS):
            await self._told("capacity")
        self._lateness = Lateness()

    async def heal(self) -> None:
        if self._lateness is not None:
            self._lateness.stop()
        if self._process is None:
            return
        try:
            self._say("enough")
            async with asyncio.timeout(_OVER_SECONDS):
                told = await self._told("sent")
                await self._process.wait()
        finally:
            if self._process.returncode is None:
                self._process.kill()
        if self.stage.alone:
            await self._judge(told)

    def _say(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{line}\n".encode())

    async def _told(self, what: str) -> dict[str, Any]:
        """Return the first line of the flood's that tells this. Raises RuntimeError if it ended."""
        output = self._process.stdout if self._process is not None else None
        while output is not None and (line := await output.readline()):
            told: dict[str, Any] = json.loads(line)
            if what in told:
                return told
        raise RuntimeError("the flood ended; see its log")

    async def _judge(self, flood: dict[str, Any]) -> None:
        """Compare with what is promised; another fault at the same time would excuse it."""
        elapsed = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        others = max(_others_seconds() - self._others, 0.0) / elapsed
        memory = await self.site.ask_redis(lambda client: client.info("memory"))
        part = memory["used_memory"] / memory["maxmemory"]
        late = self._lateness.quantile_ms(0.99) if self._lateness is not None else inf
        is_judged = others < _OTHERS_MOST and max(late, flood["client_late_p99_ms"]) < _LATE_MOST_MS
        told = {
            "memory_part": round(part, 3),
            "others_cpu": round(others, 2),
            "proxy_late_p99_ms": late,
            "is_judged": is_judged,
        }
        self.stage.floods.append(flood | told)
        alarm = self.stage.history.add
        if flood["admitted_p99_ms"] > _P99_MS and is_judged:
            alarm(Alarm(time.monotonic(), "slow", f"p99 {flood['admitted_p99_ms']} ms"))
        if part > MEMORY_NO_WRITES:
            alarm(Alarm(time.monotonic(), "full", f"{part:.0%} of the log's memory is used"))


def _others_seconds() -> float:
    """Return how long processes that are not the tester's have used processors so far.

    Of children that ended, only what their parents waited for is known: a little is others' then.
    """
    machine = psutil.cpu_times()
    busy = sum(machine) - machine.idle - machine.iowait
    me = psutil.Process()
    ours = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            ours += sum(process.cpu_times()[:4])
    return busy - ours


FAULTS: Final = (Overload,)
