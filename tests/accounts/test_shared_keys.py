"""A key is used by two processes for more than a day, while all that ends something goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Engine

from api.accounts.api_keys import ApiKeys
from api.accounts.key_store import KeyStore
from api.accounts.remembered import KEPT_SECONDS, Remembered
from api.accounts.revocations import Revocations
from api.accounts.subjects import Subjects
from api.core.async_database import AsyncDatabase
from api.core.caller import SCOPES, Caller
from api.core.errors import Unauthenticated
from api.writes.write_path import WritePath
from tests.writes.conftest import OpenPath, open_path, owner, settings

__all__ = ["open_path", "owner", "settings"]

MINUTE, HOUR = 60, 3600


class Clock:
    """What the processes take for the time."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Process:
    """What one API process knows of keys."""

    def __init__(self, path: WritePath, engine: Engine, clock: Clock) -> None:
        database = AsyncDatabase(engine)
        self.path = path
        self.revocations = Revocations(path.async_log)
        subjects = Subjects(database, self.revocations, 10)
        self.keys = ApiKeys(database, KeyStore(path.log), self.revocations, subjects)
        self.keys._keys = Remembered(9, now=clock)
        subjects._users = Remembered(9, now=clock)

    async def callers(self, own: str, subjects: str) -> tuple[Caller, Caller]:
        return await self.keys.caller(own, None), await self.keys.caller(subjects, "grace")


@asynccontextmanager
async def two_processes(
    open_path: OpenPath, engine: Engine, clock: Clock
) -> AsyncIterator[list[Process]]:
    async with open_path() as one, open_path() as other:
        processes = [Process(path, engine, clock) for path in (one, other)]
        for process in processes:
            await process.revocations.start()
        try:
            yield processes
        finally:
            for process in processes:
                await process.revocations.stop()


async def something_ends(owner: int, hour: int, processes: list[Process]) -> None:
    """Sign the account out, and revoke another key of it that both processes use."""
    first, second = processes
    first.path.log.revoke(owner, [f"session-{hour}"], HOUR)
    made, other = await first.keys.create(owner, "another", SCOPES, "self")
    for process in processes:
        await process.keys.caller(other, None)
    await second.keys.revoke(owner, made.id)
    for process in processes:
        while not process.revocations.has(f"{owner}:{made.id}"):
            await process.revocations._look()
        with pytest.raises(Unauthenticated):
            await process.keys.caller(other, None)


def test_two_processes_share_a_key_for_more_than_a_day(
    open_path: OpenPath, owner: int, engine: Engine
) -> None:
    clock = Clock()

    async def scenario() -> tuple[set[tuple[Caller, Caller]], int]:
        async with two_processes(open_path, engine, clock) as processes:
            _, own = await processes[0].keys.create(owner, "shared", SCOPES, "self")
            _, subjects = await processes[1].keys.create(owner, "shared", SCOPES, "subjects")
            seen, written = set(), 0
            for minute in range(KEPT_SECONDS // MINUTE + 2 * HOUR // MINUTE):
                clock.now += MINUTE
                for process in processes:
                    seen.add(await process.callers(own, subjects))
                if minute % 60 == 0:
                    await something_ends(owner, minute // 60, processes)
                    for process in processes:
                        for caller in await process.callers(own, subjects):
                            await process.path.accept.open(caller, None, None)
                            written += 1
            return seen, written

    seen, written = asyncio.run(scenario())

    assert len(seen) == 1
    assert written == 4 * 25
