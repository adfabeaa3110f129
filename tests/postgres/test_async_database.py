"""Transactions in threads: how many may be in flight, and for how long."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlmodel import text

from api.core import async_database
from api.core.async_database import AsyncDatabase
from api.core.database import Viewer
from api.core.errors import Unavailable
from api.reads.partitions import PartitionRepository


@pytest.fixture
def database(engine: Engine) -> Iterator[AsyncDatabase]:
    opened = AsyncDatabase(engine)
    yield opened
    opened.close()


def test_more_transactions_than_may_be_in_flight_are_refused(
    database: AsyncDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_database, "IN_FLIGHT_MOST", 3)

    async def burst() -> list[int | BaseException]:
        return await asyncio.gather(
            *(
                database.read(Viewer(1), lambda s: PartitionRepository(s).last_id(0))
                for _ in range(5)
            ),
            return_exceptions=True,
        )

    answers = asyncio.run(burst())

    assert sum(isinstance(answer, Unavailable) for answer in answers) == 2
    assert sum(answer == 0 for answer in answers) == 3


def test_a_database_that_hangs_is_unavailable_in_time(
    database: AsyncDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_database, "TIMEOUT_SECONDS", 0.2)

    with pytest.raises(Unavailable):
        asyncio.run(
            database.read(Viewer(1), lambda s: s.connection().execute(text("SELECT pg_sleep(1)")))
        )
