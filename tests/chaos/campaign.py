"""One campaign: the system, the load, faults from a seed, healing, and the judgement."""

import asyncio
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg2
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from api.cli import lag
from api.core.audit import audit
from tests.chaos import history, tables
from tests.chaos.checker import check
from tests.chaos.faults.base import Fault, Stage, Traps
from tests.chaos.history import Alarm, History
from tests.chaos.load import Order
from tests.chaos.load_process import LoadProcess
from tests.chaos.schedule import Round
from tests.chaos.site import Plan, Site, open_log
from tests.chaos.verdicts import Report

logger = logging.getLogger(__name__)

#: After the last fault: the promise is 60 s, and the time that the backlog itself needs.
HEAL_SECONDS: Final = 60.0
DRAIN_PER_SECOND: Final = 1_000
#: The load finishes what it began, then reads everything: in so many times that.
_PATIENCES: Final = 3
#: Writes of each writer, on average, that are accepted before the first fault.
_WRITES_FIRST: Final = 2
_POLL_SECONDS: Final = 0.1
_STATUS_SECONDS: Final = 5.0
_SERVER_ERRORS: Final = (RedisError, DBAPIError, psycopg2.Error, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Size:
    """How hard the load works."""

    people: int = 16
    writers: int = 3
    readers: int = 6
    writes_per_second: float = 120.0
    reads_per_second: float = 60.0


@dataclass(slots=True)
class Outcome:
    """What a campaign found."""

    seed: int
    plan: Plan
    report: Report
    seconds: float
    faults: Counter[str]
    skipped: dict[str, str]
    recoveries: list[float]
    last_recovery: float
    #: None: beyond the largest bucket of the histogram.
    lag_ms: dict[str, float | None]
    bytes_lost: int
    floods: list[dict[str, Any]]
    traps_sprung: dict[str, int]
    tally: dict[str, int] = field(default_factory=dict)


class Campaign:
    """Runs rounds of faults against a system under load, and judges what came of it."""

    def __init__(
        self,
        directory: Path,
        seed: int,
        plan: Plan,
        size: Size,
        heal_seconds: float = HEAL_SECONDS,
    ) -> None:
        self._directory = directory
        self._seed = seed
        self._plan = plan
        self._size = size
        self._heal_seconds = heal_seconds
        self._faults: Counter[str] = Counter()
        self._skipped: dict[str, str] = {}
        self._recoveries: list[float] = []
        self._last_recovery = 0.0
        self._is_stuck = False
        self._lag_ms: dict[str, float | None] = {}
        self._floods: list[dict[str, Any]] = []
        self._traps = Traps()

    async def run(self, rounds: Iterable[Round], seconds: float) -> Outcome:
        """Run rounds until they or the time are over, then let everything heal."""
        async with AsyncExitStack() as stack:
            rng = random.Random(f"{self._seed}/site")
            site = await stack.enter_async_context(Site(self._directory, self._plan, rng))
            load = await self._start_load(site)
            stack.push_async_callback(load.end)
            # On a slow machine a brief campaign would be over before anybody says something.
            writers = self._size.people * self._size.writers
            await load.works(_WRITES_FIRST * writers, self._heal_seconds)
            began = time.monotonic()
            with History(self._directory / "faults.jsonl") as written:
                for one in rounds:
                    if time.monotonic() - began > seconds:
                        break
                    alone = len(one.faults) == 1
                    stage = Stage(site, load, rng, written, alone, self._floods, self._traps)
                    await self._inflict(one, stage, written)
                self._last_recovery = await self._heal(site, written, "after the last fault")
                if self._is_stuck:
                    await load.end()  # what waits for the log would never be answered
                else:
                    await _finish(load, written, _PATIENCES * self._heal_seconds)
                await self._heal(site, written, "after the last request", empty=True)
                await asyncio.to_thread(self._audit, site, written)
                for name in self._traps.blind:
                    written.add(Alarm(time.monotonic(), "blind", f"it never happened: {name}"))
            return await asyncio.to_thread(self._judge, site, load, began)
        raise AssertionError("nothing above swallows an exception")

    async def _start_load(self, site: Site) -> LoadProcess:
        size = self._size
        order = Order(
            ports=[door.port for door in site.doors],
            history=str(self._directory / "load.jsonl"),
            prefix="a",
            seed=self._seed,
            people=size.people,
            writers=size.writers,
            readers=size.readers,
            writes_per_second=size.writes_per_second,
            reads_per_second=size.reads_per_second,
            patience_seconds=self._heal_seconds,
            log_url=site.log_url,
        )
        return await LoadProcess.start(order, self._directory / "load.log")

    async def _inflict(self, one: Round, stage: Stage, written: History) -> None:
        possible = []
        for kind, seconds in one.faults:
            if reason := kind.missing(stage.site):
                self._skipped[kind.name] = reason
            else:
                possible.append((kind(stage), seconds))
        await asyncio.gather(*(self._fault(fault, s, written) for fault, s in possible))
        recovery = None
        if one.heals and possible:
            recovery = await self._heal(stage.site, written, f"after {one.names}")
            self._recoveries.append(recovery)
        told = stage.load.tally
        logger.info(
            "%-60s ok %d refused %d unknown %d reads %d%s",
            one.names, told.get("ok", 0), told.get("refused", 0), told.get("unknown", 0),
            told.get("reads", 0), f" healed in {recovery:.1f} s" if recovery is not None else "",
        )  # fmt: skip

    async def _fault(self, fault: Fault, seconds: float, written: History) -> None:
        self._faults[fault.name] += 1
        written.add(history.Fault(time.monotonic(), fault.name, "inject"))
        try:
            await fault.inject()
            await asyncio.sleep(seconds)
        except _SERVER_ERRORS as error:
            # Another fault of this round was in the way.
            logger.warning("%s: %s", fault.name, type(error).__name__)
        finally:
            await fault.heal()
            written.add(history.Fault(time.monotonic(), fault.name, "heal"))

    async def _heal(self, site: Site, written: History, when: str, *, empty: bool = False) -> float:
        """Wait until all is well again; return how long it took."""
        began = time.monotonic()
        self._is_stuck = False
        try:
            async with asyncio.timeout(self._heal_seconds) as patience:
                entries, _ = await site.backlog()
                if (due := patience.when()) is not None:
                    patience.reschedule(due + entries / DRAIN_PER_SECOND)
                tails = await site.tails()
                while not await (_is_empty(site) if empty else site.is_healthy(tails)):  # noqa: ASYNC110 - polled
                    await asyncio.sleep(_POLL_SECONDS)
        except _SERVER_ERRORS:
            self._is_stuck = True
            detail = f"{await _waiting(site)}, {when}"
            written.add(Alarm(time.monotonic(), "stuck", detail))
        return time.monotonic() - began

    def _audit(self, site: Site, written: History) -> None:
        engine = site.engine()
        try:
            with open_log(site.log_url) as log:
                for books in audit(log, engine):
                    if not books.balanced:
                        written.add(Alarm(time.monotonic(), "unbalanced", str(books)))
                lags = lag.of_counts(log.counts())
            self._lag_ms = {f"p{q}": _in_ms(lags.quantile_seconds(q / 100)) for q in (50, 99)}
        except _SERVER_ERRORS as error:
            detail = f"no audit can be made: {type(error).__name__}"
            written.add(Alarm(time.monotonic(), "stuck", detail))
        finally:
            engine.dispose()

    def _judge(self, site: Site, load: LoadProcess, began: float) -> Outcome:
        stored = tables.load(site.postgres_server.url)
        events = history.read(sorted(self._directory.glob("*.jsonl")))
        return Outcome(
            self._seed,
            self._plan,
            check(events, stored, losses_allowed=self._plan.may_lose),
            time.monotonic() - began,
            self._faults,
            self._skipped,
            self._recoveries,
            self._last_recovery,
            self._lag_ms,
            site.redis_server.bytes_lost,
            self._floods,
            dict(self._traps.sprung),
            load.tally,
        )


async def _finish(load: LoadProcess, written: History, seconds: float) -> None:
    """Let the load finish; if it cannot, its requests are not served."""
    try:
        await load.finish(seconds)
    except TimeoutError:
        written.add(Alarm(time.monotonic(), "stuck", "the load could not finish"))
        await load.end()


def _in_ms(seconds: float) -> float | None:
    return round(seconds * 1000, 1) if math.isfinite(seconds) else None


async def _waiting(site: Site) -> str:
    """Say what waits in the log."""
    try:
        async with asyncio.timeout(_STATUS_SECONDS):
            entries, age = await site.backlog()
    except _SERVER_ERRORS:
        return "the log does not answer"
    return f"{entries} entries wait, the oldest for {age:.0f} s"


async def _is_empty(site: Site) -> bool:
    entries, _ = await site.backlog()
    return entries == 0 and await asyncio.to_thread(site.knows_all_words)
