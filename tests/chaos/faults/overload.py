"""More requests than the machine can take."""

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

import psutil

from api.group_commit import MEMORY_NO_WRITES
from tests.chaos.faults.base import Fault, Stage
from tests.chaos.history import Alarm
from tests.chaos.lateness import Lateness

#: What it can take is measured first, with so much more than usual from the same people.
_PACE: Final = 8.0
_MEASURE_SECONDS: Final = 3.0
_FACTOR: Final = 3.0
#: Promised for what is admitted.
_P99_MS: Final = 100.0
_OVER_SECONDS: Final = 60.0
#: A machine that works for others this much (a part of all its processors) proves nothing.
_OTHERS_MOST: Final = 0.05
#: A tester that is this late itself cannot tell how late the answers are.
_LATE_MOST_MS: Final = 20.0


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

    async def inject(self) -> None:
        load = self.stage.load
        load.command({"do": "pace", "factor": _PACE})
        before = load.tally
        await asyncio.sleep(_MEASURE_SECONDS)
        after = load.tally
        load.command({"do": "pace", "factor": 1.0})
        taken = (after["ok"] - before["ok"]) / max(after["at"] - before["at"], 1.0)
        self._lateness = Lateness()
        load.command({"do": "flood", "per_second": max(taken, 1.0) * _FACTOR})

    async def heal(self) -> None:
        load = self.stage.load
        load.command({"do": "pace", "factor": 1.0})
        load.command({"do": "ebb"})
        if self._lateness is not None:
            self._lateness.stop()
        async with asyncio.timeout(_OVER_SECONDS):
            while not load.tally.get("flood", {}).get("over"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        if self.stage.alone:
            await self._judge(load.tally["flood"])

    async def _judge(self, flood: dict[str, Any]) -> None:
        """Compare with what is promised; another fault at the same time would excuse it."""
        elapsed = (time.monotonic() - self._began) * (psutil.cpu_count() or 1)
        others = max(_others_seconds() - self._others, 0.0) / elapsed
        memory = await self.site.ask_redis(lambda client: client.info("memory"))
        part = memory["used_memory"] / memory["maxmemory"]
        late = self._lateness.quantile_ms(0.99) if self._lateness is not None else 0.0
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
